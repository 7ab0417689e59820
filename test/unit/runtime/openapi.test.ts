import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { type Route, routes } from '../../../shared/contracts/routes.ts'
import { STATUS_OF_CODE } from '../../../shared/runtime/errors-to-http.ts'
import { openApiDocument } from '../../../shared/runtime/openapi.ts'

/** As a client gets it. */
const document: unknown = JSON.parse(JSON.stringify(openApiDocument(routes)))

/** OpenAPI 3.1.0's required fields, as far as this document uses them (spec.openapis.org/oas/v3.1.0). */
const Schema = z.record(z.string(), z.unknown())
const Ref = z.strictObject({ $ref: z.string().startsWith('#/components/') })
const Content = z.record(z.string(), z.strictObject({ schema: Schema }))
const Parameter = z.strictObject({
  name: z.string().min(1),
  in: z.enum(['path', 'query', 'header']),
  required: z.boolean().optional(),
  description: z.string().optional(),
  schema: Schema,
})
const Response = z.strictObject({
  description: z.string().min(1),
  headers: Schema.optional(),
  content: Content.optional(),
})
const Operation = z.strictObject({
  operationId: z.string().min(1),
  summary: z.string().min(1),
  tags: z.array(z.string().min(1)).min(1),
  security: z.array(z.record(z.string(), z.array(z.string()))),
  parameters: z.array(z.union([Ref, Parameter])),
  requestBody: z.strictObject({ required: z.boolean(), content: Content }).optional(),
  responses: z.record(z.string().regex(/^[1-5]\d\d$/), z.union([Ref, Response])),
})
const Document = z.strictObject({
  openapi: z.literal('3.1.0'),
  info: z.strictObject({ title: z.string(), version: z.string(), description: z.string() }),
  servers: z.array(z.strictObject({ url: z.string() })),
  paths: z.record(
    z.string().startsWith('/'),
    z.partialRecord(z.enum(['get', 'post', 'put', 'delete', 'options']), Operation),
  ),
  components: z.strictObject({
    securitySchemes: z.record(
      z.string(),
      z.discriminatedUnion('type', [
        z.strictObject({
          type: z.literal('http'),
          scheme: z.literal('bearer'),
          bearerFormat: z.string(),
          description: z.string(),
        }),
        z.strictObject({
          type: z.literal('apiKey'),
          in: z.literal('header'),
          name: z.string(),
          description: z.string(),
        }),
      ]),
    ),
    parameters: z.record(z.string(), Parameter),
    schemas: z.record(z.string().regex(/^[\w.-]+$/), Schema),
    responses: z.record(z.string(), Response),
  }),
})
const parsed = Document.parse(document)
const operationOf = (route: Route) =>
  parsed.paths[route.path]?.[route.method.toLowerCase() as 'get' | 'post' | 'put' | 'delete' | 'options']
const byId = Object.entries<Route>(routes)

function walk(value: unknown, visit: (node: Record<string, unknown>) => void): void {
  if (Array.isArray(value)) for (const item of value) walk(item, visit)
  else if (typeof value === 'object' && value !== null) {
    visit(value as Record<string, unknown>)
    for (const item of Object.values(value)) walk(item, visit)
  }
}
const resolve = (pointer: string): unknown =>
  pointer
    .slice(2)
    .split('/')
    .reduce<unknown>((node, key) => (node as Record<string, unknown> | undefined)?.[key], document)

describe('the OpenAPI document', () => {
  it.each(byId)('has the route %s with its security, parameters, body and statuses', (id, route) => {
    const operation = operationOf(route)
    expect(operation?.operationId).toBe(id)
    const security = { user: [{ bearer: [] }], member: [{ bearer: [] }], signature: [{ signature: [] }], none: [] }
    expect(operation?.security).toEqual(security[route.auth])
    expect(operation?.requestBody === undefined).toBe(route.body === undefined)
    const mayBeLeftOut = route.body?.safeParse(undefined).success === true
    expect(operation?.requestBody?.required ?? true).toBe(!mayBeLeftOut)
    const statuses = Object.keys(operation?.responses ?? {}).map(Number)
    expect(statuses).toEqual(expect.arrayContaining([200, 500, 503, ...(route.errors ?? [])]))
    const inPath = (operation?.parameters ?? []).flatMap((p) => ('in' in p && p.in === 'path' ? [p.name] : []))
    expect(inPath).toEqual([...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name))
  })

  it('has no operation beside the routes, and no id twice', () => {
    const operations = Object.values(parsed.paths).flatMap((path) => Object.values(path))
    expect(operations).toHaveLength(byId.length)
    expect(new Set(operations.map((operation) => operation?.operationId)).size).toBe(byId.length)
  })

  it('resolves every reference, and uses every schema', () => {
    const used = new Set<string>()
    walk(document, ({ $ref }) => {
      if (typeof $ref !== 'string') return
      used.add($ref)
      expect(resolve($ref), $ref).toBeDefined()
    })
    expect(used.size).toBeGreaterThan(10)
    for (const name of Object.keys(parsed.components.schemas)) expect(used).toContain(`#/components/schemas/${name}`)
  })

  it('shares the agent between the answers instead of repeating it', () => {
    expect(parsed.components.schemas.GetAgentAnswer).toMatchObject({
      properties: { agent: { $ref: '#/components/schemas/Agent' } },
    })
    expect(parsed.components.schemas.Agent).toMatchObject({
      properties: { container: { $ref: '#/components/schemas/Container' } },
      required: expect.arrayContaining(['id', 'status']),
    })
  })

  it('asks for nothing that the server would fill in, and forbids no field that it would ignore', () => {
    expect(parsed.components.schemas.SpawnAgentBody).not.toHaveProperty('required')
    walk(document, (node) => expect(node.additionalProperties).not.toBe(false))
  })

  it('describes every status that an error can have', () => {
    const described = new Set(
      Object.values(parsed.paths).flatMap((path) =>
        Object.values(path).flatMap((o) => Object.keys(o?.responses ?? {})),
      ),
    )
    for (const status of Object.values(STATUS_OF_CODE)) expect([...described]).toContain(String(status))
  })

  it('refuses a route with a status that nobody has described', () => {
    const odd = { method: 'GET', path: '/x', auth: 'none', summary: 's', handler: 'x', errors: [418] } as const
    expect(() => openApiDocument({ odd })).toThrow('GET /x declares status 418')
  })

  it('is committed as docs/openapi.json ("npm run openapi" writes it)', () => {
    expect(JSON.parse(readFileSync('docs/openapi.json', 'utf8'))).toEqual(document)
  })
})
