/** API Gateway's HTTP API event (payload 2.0): the parts that are read, and the request that is made of them. */
import * as z from 'zod'
import { MAX_BODY_BYTES } from '../contracts/limits.ts'
import type { Route, RouteInput } from '../contracts/routes.ts'
import { type Actor, ActorSchema } from '../domain/actor.ts'
import { BadRequest, BodyTooLarge, Forbidden } from '../domain/errors.ts'
import { bearerToken } from './bearer-token.ts'
import { detailsOf, parseInput } from './validation.ts'

const strings = z.record(z.string(), z.string().optional()).default({})

export const HttpEventSchema = z.object({
  rawPath: z.string().default(''),
  rawQueryString: z.string().default(''),
  headers: strings,
  pathParameters: strings,
  /** Repeated parameters arrive joined by commas. */
  queryStringParameters: strings,
  body: z.string().optional(),
  isBase64Encoded: z.boolean().default(false),
  requestContext: z.object({
    requestId: z.string().min(1),
    timeEpoch: z.number(),
    http: z.object({ method: z.string() }).default({ method: '' }),
    authorizer: z.object({ lambda: z.unknown() }).partial().optional(),
  }),
})
export type HttpEvent = z.infer<typeof HttpEventSchema>

/** Who asks is known by a verified token: the authorizer's, or the one that `memberHandler` has verified. */
export const hasActor = ({ auth }: Pick<Route, 'auth'>): boolean => auth === 'user' || auth === 'member'

/** What a handler gets: everything parsed by the route's schemas, and who asks. */
export type HttpRequest<R extends Route> = RouteInput<R> & {
  /** Of the verified token; undefined on routes that are not a member's. */
  readonly actor: R['auth'] extends 'user' | 'member' ? Actor : undefined
  /** The member's own bearer token, for forwarding to the existing server; never to be logged or stored. */
  readonly token: R['auth'] extends 'user' | 'member' ? string : undefined
  /** Only on routes that declare the header. */
  readonly idempotencyKey: string | undefined
  readonly correlationId: string
  readonly requestId: string
  /** When the gateway received the request, ms since the epoch: the order of typed input. */
  readonly receivedAt: number
  /** The request as it came, for the routes that do not speak JSON. */
  readonly raw: {
    /** With what the gateway has decoded in it. */
    readonly path: string
    readonly query: Readonly<Record<string, string | undefined>>
    /** As it was written, without `?`. */
    readonly queryString: string
    /** Names in lower case. */
    readonly headers: Readonly<Record<string, string | undefined>>
    /** @throws BadRequest when the bytes are not UTF-8; BodyTooLarge above `maxBytes`. */
    text(maxBytes: number): string
  }
}

/** The body's bytes, as they were sent. */
export const bodyBytes = ({ body = '', isBase64Encoded }: Pick<HttpEvent, 'body' | 'isBase64Encoded'>): Buffer =>
  Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8')

/** The body as text, bounded before it is decoded. */
export function bodyText(event: Pick<HttpEvent, 'body' | 'isBase64Encoded'>, maxBytes: number): string {
  const body = event.body ?? ''
  if (!event.isBase64Encoded) {
    if (Buffer.byteLength(body) > maxBytes) throw new BodyTooLarge(maxBytes)
    return body
  }
  const bytes = bodyBytes(event)
  if (bytes.byteLength > maxBytes) throw new BodyTooLarge(maxBytes)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw badBody('must be UTF-8 text')
  }
}

const badBody = (message: string) => new BadRequest(`The request body ${message}`, [{ field: 'body', message }])

/** Any content type is taken as long as the body is JSON: existing clients are careless with the header. */
function jsonBody(event: HttpEvent, schema: z.ZodType): unknown {
  const text = bodyText(event, MAX_BODY_BYTES)
  if (text.trim() === '') {
    if (schema.safeParse(undefined).success) return undefined
    throw badBody('is missing')
  }
  try {
    return JSON.parse(text)
  } catch {
    // The parser's own message repeats the text, which may be anything: it goes nowhere.
    throw badBody('must be JSON')
  }
}

const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/

function idempotencyKey(route: Route, headers: HttpEvent['headers']): string | undefined {
  const key = route.headers?.includes('idempotency-key') ? headers['idempotency-key'] : undefined
  if (key === undefined || IDEMPOTENCY_KEY.test(key)) return key
  const message = 'must be 1 to 255 visible ASCII characters'
  throw new BadRequest(`Idempotency-Key ${message}`, [{ field: 'Idempotency-Key', message }])
}

/** The authorizer let it through, so anything else than a member in its context is a fault or a token for another product. */
function actorOf(event: HttpEvent): Actor {
  const parsed = ActorSchema.safeParse(event.requestContext.authorizer?.lambda)
  if (parsed.success) return parsed.data
  throw new Forbidden('This token does not name a member of a team', detailsOf(parsed.error, 'token'))
}

/** @throws BadRequest, BodyTooLarge, Forbidden */
export function parseRequest<R extends Route>(route: R, event: HttpEvent, correlationId: string): HttpRequest<R> {
  const isMember = hasActor(route)
  const request = {
    actor: isMember ? actorOf(event) : undefined,
    token: isMember ? forwardedToken(event) : undefined,
    params: route.params && parseInput(route.params, event.pathParameters, 'path'),
    query: route.query && parseInput(route.query, event.queryStringParameters, 'query'),
    idempotencyKey: idempotencyKey(route, event.headers),
    body: route.body && parseInput(route.body, jsonBody(event, route.body), 'body'),
    correlationId,
    requestId: event.requestContext.requestId,
    receivedAt: event.requestContext.timeEpoch,
    raw: {
      path: event.rawPath,
      query: event.queryStringParameters,
      queryString: event.rawQueryString,
      headers: event.headers,
      text: (maxBytes: number) => bodyText(event, maxBytes),
    },
  }
  // Each member was parsed with the schema that RouteInput infers from; the compiler cannot follow that through a generic R.
  return request as unknown as HttpRequest<R>
}

function forwardedToken(event: HttpEvent): string {
  const token = bearerToken(event.headers.authorization)
  if (token === undefined) throw new Forbidden('Authorization must be "Bearer <token>"')
  return token
}
