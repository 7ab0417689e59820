import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { AgentParamsSchema, SpawnAgentBodySchema } from '../../../shared/contracts/agents.ts'
import { MAX_BODY_BYTES } from '../../../shared/contracts/limits.ts'
import { ErrorAnswerSchema, type Route } from '../../../shared/contracts/routes.ts'
import { BadRequest } from '../../../shared/domain/errors.ts'
import type { HttpRequest } from '../../../shared/runtime/http-event.ts'
import { httpHandler, type PlainRoute } from '../../../shared/runtime/http-handler.ts'
import { capturedLogs, httpEvent, lambdaContext } from './support.ts'

const logs = capturedLogs()

const spawn = {
  method: 'POST',
  path: '/api/agents/spawn',
  auth: 'user',
  summary: '',
  handler: 'spawn-agent',
  headers: ['idempotency-key'],
  body: SpawnAgentBodySchema,
} as const satisfies Route
const list = {
  method: 'GET',
  path: '/api/agents/{id}',
  auth: 'user',
  summary: '',
  handler: 'list-agents',
  params: AgentParamsSchema,
  query: z.object({ limit: z.coerce.number().int().min(1).max(100).default(50) }),
} as const satisfies Route
const open = { method: 'GET', path: '/open', auth: 'none', summary: '', handler: 'open' } as const satisfies Route

/** Sends an event to a handler of the route and answers what came out, and what the handler was given. */
async function send<R extends PlainRoute>(route: R, event: unknown, result: unknown = { ok: true }) {
  const given: HttpRequest<R>[] = []
  const handler = httpHandler(route, async (request) => {
    given.push(request)
    if (result instanceof Error) throw result
    return result as never
  })
  const response = await handler(event, lambdaContext())
  const body: unknown = response.body === '' ? undefined : JSON.parse(response.body)
  return { ...response, json: body, given: given[0] }
}
const refused = (result: { json: unknown }) => ErrorAnswerSchema.parse(result.json)
const withBody = (body: unknown, overrides: Record<string, unknown> = {}) =>
  httpEvent({ body: typeof body === 'string' ? body : JSON.stringify(body), ...overrides })
const withHeaders = (headers: Record<string, string>) =>
  withBody({}, { headers: { authorization: 'Bearer a.b.c', ...headers } })

describe('what a handler gets', () => {
  it('is parsed by the route and says who asks', async () => {
    const { given, statusCode, json, headers } = await send(spawn, withBody({ task: 'do it', surprise: 1 }))
    expect(statusCode).toBe(200)
    expect(json).toEqual({ ok: true })
    expect(headers).toMatchObject({
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      'x-correlation-id': 'request-1',
    })
    expect(given).toMatchObject({
      body: { task: 'do it', agentType: 'claude' },
      actor: { userId: 'user-1', teamId: 'team-1' },
      token: 'header.payload.signature',
      idempotencyKey: undefined,
      correlationId: 'request-1',
      requestId: 'request-1',
      receivedAt: 1_741_806_238_390,
    })
    expect(given?.body).not.toHaveProperty('surprise')
  })

  it('has defaults and converted numbers for path and query', async () => {
    const event = httpEvent({ pathParameters: { id: 'a1' }, queryStringParameters: { limit: '7' } })
    expect((await send(list, event)).given).toMatchObject({
      params: { id: 'a1' },
      query: { limit: 7 },
      body: undefined,
    })
    const bare = httpEvent({ pathParameters: { id: 'a1' } })
    expect((await send(list, bare)).given?.query).toEqual({ limit: 50 })
  })

  it('takes base64 bodies and other content types', async () => {
    const encoded = withBody(Buffer.from('{"task":"grün"}').toString('base64'), { isBase64Encoded: true })
    expect((await send(spawn, encoded)).given?.body.task).toBe('grün')
    const asText = withBody({ task: 'x' }, { headers: { authorization: 'Bearer a.b.c', 'content-type': 'text/plain' } })
    expect((await send(spawn, asText)).given?.body.task).toBe('x')
  })

  it('knows nobody on an open route, whatever the authorizer context says', async () => {
    expect((await send(open, httpEvent())).given).toMatchObject({ actor: undefined, token: undefined })
  })

  it('bounds the raw text of routes that do not speak JSON', async () => {
    const { given } = await send(open, withBody('4hello'))
    expect(given?.raw.text(6)).toBe('4hello')
    expect(() => given?.raw.text(5)).toThrow('larger than 5 bytes')
  })
})

describe('bad input', () => {
  it.each([
    ['no body', httpEvent(), 'body', 'is missing'],
    ['an empty body', withBody('  '), 'body', 'is missing'],
    ['no JSON', withBody('{"task":'), 'body', 'must be JSON'],
    ['an array', withBody([]), 'body', 'expected object'],
    ['null', withBody('null'), 'body', 'expected object'],
    ['a wrong type', withBody({ task: 7 }), 'task', 'expected string'],
    ['a word that is not in the list', withBody({ agentType: 'gpt' }), 'agentType', 'Invalid option'],
    [
      'a deep field',
      withBody({ containerOptions: { resources: { memory: '1XB' } } }),
      'containerOptions.resources.memory',
      'must be like "512MB" or "2GB"',
    ],
    [
      'broken UTF-8',
      withBody(Buffer.from([0xc3, 0x28]).toString('base64'), { isBase64Encoded: true }),
      'body',
      'UTF-8',
    ],
  ])('%s is 400 and names the field', async (_what, event, field, message) => {
    const result = await send(spawn, event)
    expect(result.statusCode).toBe(400)
    const { code, details, requestId } = refused(result)
    expect({ code, requestId }).toEqual({ code: 'BAD_REQUEST', requestId: 'request-1' })
    expect(details?.[0]?.field).toBe(field)
    expect(details?.[0]?.message).toContain(message)
    expect(result.given).toBeUndefined()
  })

  it('is 413 when it is too large, encoded or not', async () => {
    const text = 'x'.repeat(MAX_BODY_BYTES + 1)
    expect(refused(await send(spawn, withBody(text))).code).toBe('BODY_TOO_LARGE')
    const encoded = withBody(Buffer.from(text).toString('base64'), { isBase64Encoded: true })
    expect((await send(spawn, encoded)).statusCode).toBe(413)
  })

  it('counts bytes, not characters', async () => {
    const body = JSON.stringify({ pad: 'ü'.repeat(MAX_BODY_BYTES / 2) })
    expect(body.length).toBeLessThan(MAX_BODY_BYTES)
    expect((await send(spawn, withBody(body))).statusCode).toBe(413)
  })

  it('names a query parameter, also one that is repeated', async () => {
    for (const limit of ['0', '1000', 'many', '1,2', '']) {
      const event = httpEvent({ pathParameters: { id: 'a' }, queryStringParameters: { limit } })
      expect(refused(await send(list, event)).details?.[0]?.field).toBe('limit')
    }
  })

  it('never repeats the value in answer or log', async () => {
    await send(spawn, withBody('{"task":"s3cret-value'))
    await send(spawn, withBody({ task: { secret: 's3cret-value' } }))
    expect(logs.lines().length).toBeGreaterThan(0)
    expect(logs.text()).not.toContain('s3cret-value')
    expect(logs.text()).not.toContain('header.payload.signature')
  })
})

describe('headers', () => {
  it.each([['a'], ['x'.repeat(255)], ['0197-abc_DEF!~']])('takes the idempotency key %s', async (key) => {
    expect((await send(spawn, withHeaders({ 'idempotency-key': key }))).given?.idempotencyKey).toBe(key)
  })

  it.each([[''], ['x'.repeat(256)], ['two words'], ['schlüssel']])('refuses the idempotency key "%s"', async (key) => {
    const result = await send(spawn, withHeaders({ 'idempotency-key': key }))
    expect(refused(result).details?.[0]?.field).toBe('Idempotency-Key')
  })

  it('ignores the key where the route does not declare it', async () => {
    const event = httpEvent({ headers: { authorization: 'Bearer a.b.c', 'idempotency-key': 'not valid' } })
    expect((await send(open, event)).given?.idempotencyKey).toBeUndefined()
  })

  it('keeps a sane correlation id and replaces any other, in answers and errors alike', async () => {
    const sane = await send(spawn, withHeaders({ 'x-correlation-id': 'client/42' }))
    expect(sane.headers['x-correlation-id']).toBe('client/42')
    expect(sane.given?.correlationId).toBe('client/42')
    for (const id of ['', 'a b', 'x'.repeat(129), 'line\nbreak', 'ümlaut']) {
      const bad = await send(spawn, withHeaders({ 'x-correlation-id': id }), new BadRequest('no'))
      expect(bad.headers['x-correlation-id']).toBe('request-1')
    }
  })
})

describe('who asks', () => {
  const as = (lambda: unknown) =>
    withBody({}, { requestContext: { ...httpEvent().requestContext, authorizer: { lambda } } })

  it.each([
    [undefined],
    [{}],
    [{ userId: 'u' }],
    [{ userId: 'u', teamId: '../other' }],
    [{ userId: 7, teamId: 't' }],
    [{ userId: 'u', teamId: '' }],
  ])('is 403 for the authorizer context %j', async (lambda) => {
    const result = await send(spawn, as(lambda))
    expect([result.statusCode, refused(result).code]).toEqual([403, 'FORBIDDEN'])
    expect(result.given).toBeUndefined()
  })

  it('is 403 when the header is no bearer token', async () => {
    const event = withBody({}, { headers: { authorization: 'Basic dXNlcg==' } })
    expect((await send(spawn, event)).statusCode).toBe(403)
  })
})
