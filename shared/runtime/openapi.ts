/** The API as an OpenAPI 3.1 document, derived from the route table: nothing about a route is written here. */
import * as z from 'zod'
import { AgentViewSchema, ContainerViewSchema, OutputLineSchema } from '../contracts/agents.ts'
import { TeamContainerSchema, TeamEnvironmentViewSchema } from '../contracts/environments.ts'
import { FileNodeSchema } from '../contracts/files.ts'
import { ErrorAnswerSchema, type Route } from '../contracts/routes.ts'
import { hasActor } from './http-event.ts'
import { SIGNATURE_HEADERS } from './signature.ts'

type Json = Record<string, unknown>
type Routes = Readonly<Record<string, Route>>

export interface OpenApiDocument extends Json {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, Json>>>>
  readonly components: Json & { readonly schemas: Readonly<Record<string, Json>> }
}

/** Schemas that several answers share, by the name they go by in the document. */
const SHARED_ANSWERS = {
  Error: ErrorAnswerSchema,
  Agent: AgentViewSchema,
  Container: ContainerViewSchema,
  OutputLine: OutputLineSchema,
  TeamEnvironment: TeamEnvironmentViewSchema,
  TeamContainer: TeamContainerSchema,
  FileNode: FileNodeSchema,
} as const

/** What each status means here, and the name of its response component. */
const ERROR_RESPONSES: Readonly<Record<number, readonly [name: string, description: string]>> = {
  400: ['BadRequest', 'The request cannot be understood; `details` names the fields.'],
  401: ['Unauthorized', 'No bearer token, or no good signature.'],
  403: ['Forbidden', 'The token is not valid or has expired, or this is not for its member.'],
  404: ['NotFound', 'There is none, or it belongs to another team.'],
  409: ['Conflict', 'Not in the present state.'],
  413: ['BodyTooLarge', 'The request body, or the file that is asked for, is too large.'],
  422: ['IdempotencyKeyReused', 'The Idempotency-Key was used before, for another request.'],
  429: ['TooManyAgents', "All of the team's agent slots are in use."],
  500: ['Internal', 'A fault of the control plane.'],
  502: ['BadGateway', 'The Covibes server cannot be reached, or its answer cannot be passed on.'],
  503: ['Unavailable', 'Try again later.'],
  507: ['InsufficientStorage', "There is no room left for the team's files."],
  504: ['GatewayTimeout', 'The Covibes server did not answer in time.'],
}

const ref = (kind: 'schemas' | 'responses' | 'parameters', name: string): Json => ({
  $ref: `#/components/${kind}/${name}`,
})
const pascal = (id: string): string => id.charAt(0).toUpperCase() + id.slice(1)
const jsonContent = (schema: Json): Json => ({ 'application/json': { schema } })

/** Drops what says nothing to a reader: zod's dialect and ids, its bounds of safe integers, and "no other fields", which a later version may add. */
function tidy({ jsonSchema }: { jsonSchema: z.core.JSONSchema.BaseSchema }): void {
  delete jsonSchema.$schema
  delete jsonSchema.$id
  if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
}

/** Names each schema once: an alias shares the name of the route it repeats. */
function named(schemas: ReadonlyMap<z.ZodType, string>, io: 'input' | 'output'): Record<string, Json> {
  const registry = z.registry<{ id: string }>()
  for (const [schema, id] of schemas) registry.add(schema, { id })
  const uri = (id: string) => `#/components/schemas/${id}`
  const { schemas: found } = z.toJSONSchema(registry, { io, uri, override: tidy })
  return Object.fromEntries(
    Object.entries(found).map(([id, { $schema: _dialect, $id: _id, ...schema }]) => [id, schema]),
  )
}

interface Names {
  readonly bodies: ReadonlyMap<z.ZodType, string>
  readonly answers: ReadonlyMap<z.ZodType, string>
}

function nameSchemas(routes: Routes): Names {
  const bodies = new Map<z.ZodType, string>()
  const answers = new Map<z.ZodType, string>(Object.entries(SHARED_ANSWERS).map(([name, schema]) => [schema, name]))
  for (const [id, { body, answer }] of Object.entries(routes)) {
    if (body && !bodies.has(body)) bodies.set(body, `${pascal(id)}Body`)
    if (answer && !answers.has(answer)) answers.set(answer, `${pascal(id)}Answer`)
  }
  return { bodies, answers }
}

/** The members of a params or query schema as parameters. */
function parametersOf(schema: z.ZodType | undefined, place: 'path' | 'query'): Json[] {
  if (!schema) return []
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: 'input', override: tidy })
  return Object.entries(properties).map(([name, member]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: member,
  }))
}

const HEADERS: Readonly<Record<string, Json>> = {
  'idempotency-key': {
    name: 'Idempotency-Key',
    in: 'header',
    required: false,
    description: 'Repeating a request with its key answers the first one again instead of doing it twice.',
    schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[!-~]+$' },
  },
  [SIGNATURE_HEADERS.timestamp]: {
    name: 'X-Covibes-Timestamp',
    in: 'header',
    required: true,
    description: 'When the request was signed, in seconds since the epoch.',
    schema: { type: 'string', pattern: '^\\d{1,12}$' },
  },
}

/** The security schemes of each kind of route, by name; a `member` is checked by the server that answers. */
const SECURITY: Readonly<Record<Route['auth'], readonly string[]>> = {
  user: ['bearer'],
  member: ['bearer'],
  signature: ['signature'],
  none: [],
}

function statusesOf(route: Route): number[] {
  const isParsed = route.params ?? route.query ?? route.body
  const statuses = [
    ...(isParsed ? [400] : []),
    ...(hasActor(route) ? [401, 403] : []),
    ...(route.body ? [413] : []),
    500,
    503,
    ...(route.errors ?? []),
  ]
  return [...new Set(statuses)].sort((a, b) => a - b)
}

function responsesOf(route: Route, { answers }: Names): Json {
  const answer = route.answer && answers.get(route.answer)
  const success = { description: 'OK', ...(answer ? { content: jsonContent(ref('schemas', answer)) } : {}) }
  const errors = statusesOf(route).map((status) => {
    const response = ERROR_RESPONSES[status]
    if (!response) throw new Error(`${route.method} ${route.path} declares status ${status}, which has no description`)
    return [String(status), ref('responses', response[0])] as const
  })
  return Object.fromEntries([['200', success], ...errors])
}

function operation(id: string, route: Route, names: Names): Json {
  const body = route.body && names.bodies.get(route.body)
  const [, area, resource] = route.path.split('/')
  return {
    operationId: id,
    summary: route.summary,
    tags: [(area === 'api' ? resource : area)?.replace(/\.(json|io)$/, '') ?? ''],
    security: SECURITY[route.auth].map((scheme) => ({ [scheme]: [] })),
    parameters: [
      ...parametersOf(route.params, 'path'),
      ...parametersOf(route.query, 'query'),
      ...(route.headers ?? [])
        // A scheme's own header is no parameter.
        .filter((name) => name !== SIGNATURE_HEADERS.signature)
        .map((name) => HEADERS[name] ?? { name, in: 'header', schema: { type: 'string' } }),
      ref('parameters', 'CorrelationId'),
    ],
    ...(body
      ? {
          requestBody: {
            required: !route.body?.safeParse(undefined).success,
            content: jsonContent(ref('schemas', body)),
          },
        }
      : {}),
    responses: responsesOf(route, names),
  }
}

/** The gateway's own refusals carry a message only. */
const PLATFORM_REFUSAL: Json = {
  type: 'object',
  properties: { message: { type: 'string' } },
  required: ['message'],
}

function errorResponses(): Json {
  const ours = ref('schemas', 'Error')
  const schemaOf = (status: number): Json =>
    status === 401 || status === 403 ? { anyOf: [ours, ref('schemas', 'PlatformRefusal')] } : ours
  const retry = { 'Retry-After': { description: 'Seconds.', schema: { type: 'integer' } } }
  return Object.fromEntries(
    Object.entries(ERROR_RESPONSES).map(([status, [name, description]]) => [
      name,
      {
        description,
        ...(status === '503' ? { headers: retry } : {}),
        content: jsonContent(schemaOf(Number(status))),
      },
    ]),
  )
}

/** @throws when a route declares an error status that this file does not describe. */
export function openApiDocument(routes: Routes): OpenApiDocument {
  const names = nameSchemas(routes)
  const paths: Record<string, Record<string, Json>> = {}
  for (const [id, route] of Object.entries(routes)) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation(id, route, names) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Covibes control plane',
      version: '1',
      description:
        "Starts, watches and stops a team's containers. Everything else under /api belongs to the Covibes server.",
    },
    servers: [{ url: '/' }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: "The Covibes server's own token." },
        signature: {
          type: 'apiKey',
          in: 'header',
          name: 'X-Covibes-Signature',
          description:
            'Hex HMAC-SHA256, under the shared secret, of `<X-Covibes-Timestamp>\\n<METHOD>\\n<path>\\n<hex SHA-256 of the body>`.',
        },
      },
      parameters: {
        CorrelationId: {
          name: 'X-Correlation-Id',
          in: 'header',
          required: false,
          description: 'Goes into every log line and event that the request causes, and back in the answer.',
          schema: { type: 'string', minLength: 1, maxLength: 128, pattern: '^[\\w.:/=+-]+$' },
        },
      },
      schemas: {
        ...named(names.answers, 'output'),
        ...named(names.bodies, 'input'),
        PlatformRefusal: PLATFORM_REFUSAL,
      },
      responses: errorResponses(),
    },
  }
}
