/** What is wrong is refused with the right status, the field named, and never a 500. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MAX_BODY_BYTES } from '../../shared/contracts/limits.ts'
import { type Route, routes } from '../../shared/contracts/routes.ts'
import { type Product, startProduct, type TestMember, tokenOf } from '../support/product.ts'

let product: Product
let member: TestMember
beforeAll(async () => {
  product = await startProduct()
  member = await product.member()
})
afterAll(() => product.close())

const get = (path: string, token?: string) =>
  fetch(new URL(path, product.url), { headers: token === undefined ? {} : { authorization: `Bearer ${token}` } })

describe('tokens', () => {
  it('none: 401 on every route of members', async () => {
    for (const route of Object.values<Route>(routes)) {
      if (route.auth !== 'user') continue
      const response = await fetch(new URL(route.path.replace('{id}', 'x'), product.url), { method: route.method })
      expect([route.path, response.status, await response.json()]).toEqual([
        route.path,
        401,
        { message: 'Unauthorized' },
      ])
    }
  })

  it.each([
    ['not a token', () => Promise.resolve('nonsense')],
    ['another secret', () => tokenOf({ userId: 'u', teamId: 't' }, '1h', 'another-secret')],
    ['expired', () => tokenOf({ userId: 'u', teamId: 't' }, 1)],
    ['no team', () => tokenOf({ userId: 'u' })],
    ['a team that is a path', () => tokenOf({ userId: 'u', teamId: '../other' })],
    ['no signature', () => Promise.resolve(`${btoa('{"alg":"none"}')}.${btoa('{"userId":"u","teamId":"t"}')}.`)],
  ])('%s: 403', async (_, make) => {
    const response = await get('/api/agents', await make())
    expect([response.status, await response.json()]).toEqual([403, { message: 'Forbidden' }])
  })
})

describe('bodies', () => {
  const spawn = (body: unknown) => member.call('POST', '/api/agents/spawn', body)
  it.each<[string, unknown, string]>([
    ['malformed JSON', '{"task": ', 'body'],
    ['not an object', '"text"', 'body'],
    ['an unknown agent type', { agentType: 'gpt' }, 'agentType'],
    ['a task that is a number', { task: 5 }, 'task'],
    ['a task too long', { task: 'x'.repeat(1001) }, 'task'],
    [
      'a memory that is none',
      { containerOptions: { resources: { memory: 'lots' } } },
      'containerOptions.resources.memory',
    ],
    [
      'too large a container',
      { containerOptions: { resources: { cpu: '16', memory: '120GB' } } },
      'containerOptions.resources',
    ],
  ])('%s: 400 with the field', async (_, body, field) => {
    const answer = await spawn(body)
    expect(answer.status).toBe(400)
    expect(answer.body).toMatchObject({
      message: expect.any(String),
      code: 'BAD_REQUEST',
      requestId: expect.any(String),
    })
    const fields = (answer.body as { details: { field: string }[] }).details.map((detail) => detail.field)
    expect(
      fields.some((named) => named === field || named.startsWith(`${field}.`)),
      `${fields}`,
    ).toBe(true)
  })

  it('over the limit: 413; over the platform’s: 413', async () => {
    expect((await spawn({ task: '', padding: 'x'.repeat(MAX_BODY_BYTES) })).status).toBe(413)
    const huge = await fetch(new URL('/api/agents/spawn', product.url), {
      method: 'POST',
      headers: { authorization: `Bearer ${member.token}` },
      body: 'x'.repeat(11 * 1024 * 1024),
    })
    expect(huge.status).toBe(413)
  })

  it('another team: 403; unknown fields: ignored', async () => {
    expect(await spawn({ teamId: 'another' })).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } })
    expect(
      (await spawn({ agentType: 'mock', task: 'exit 0', terminalIsolation: 'tmux', nonsense: { a: 1 } })).status,
    ).toBe(200)
  })

  it('an Idempotency-Key that is none: 400; one used otherwise: 422', async () => {
    const call = (task: string, key: string) =>
      member.call('POST', '/api/agents/spawn', { agentType: 'mock', task }, { 'idempotency-key': key })
    expect(await call('exit 0', 'x'.repeat(256))).toMatchObject({ status: 400 })
    const first = await call('exit 0', 'key-1')
    expect((await call('exit 0', 'key-1')).body).toMatchObject({
      agent: { id: (first.body as { agent: { id: string } }).agent.id },
    })
    expect(await call('exit 1', 'key-1')).toMatchObject({ status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } })
  })
})

describe('agents', () => {
  const paths: [string, string, unknown?][] = [
    ['GET', ''],
    ['GET', '/output'],
    ['GET', '/container'],
    ['POST', '/stop'],
    ['POST', '/input', { input: 'x' }],
    ['POST', '/signal', { signal: 'SIGINT' }],
    ['DELETE', ''],
  ]
  it.each(paths)('unknown, and another team’s: 404 on %s %s', async (method, path, body) => {
    const other = await product.member()
    const { id } = await member.spawn('exit 0')
    for (const [asker, agent] of [
      [member, 'no-such-agent'],
      [other, id],
    ] as const) {
      const answer = await asker.call(method, `/api/agents/${agent}${path}`, body)
      expect(answer).toMatchObject({
        status: 404,
        body: { code: 'NOT_FOUND', message: expect.stringContaining(agent) },
      })
    }
  })

  it.each([
    ['/api/agents?limit=0', 'limit'],
    ['/api/agents?limit=many', 'limit'],
    ['/api/agents?status=sleeping', 'status'],
    ['/api/agents?cursor=bm9uc2Vuc2U', 'cursor'],
  ])('%s: 400 with the field', async (path, field) => {
    const answer = await member.call('GET', path)
    expect(answer).toMatchObject({ status: 400, body: { details: [{ field: expect.stringContaining(field) }] } })
  })

  it('a member who is not the owner may watch and stop, and not type: 403', async () => {
    const { id } = await member.spawn('')
    const colleague = await product.member(member.teamId)
    expect(await colleague.call('POST', `/api/agents/${id}/input`, { input: 'x' })).toMatchObject({ status: 403 })
    expect(await colleague.call('POST', `/api/agents/${id}/signal`, { signal: 'SIGINT' })).toMatchObject({
      status: 403,
    })
    expect(await colleague.call('GET', `/api/agents/${id}`)).toMatchObject({
      status: 200,
      body: { agent: { isOwner: false } },
    })
    expect(await colleague.call('DELETE', `/api/agents/${id}`)).toMatchObject({ status: 200 })
  })
})

it('paths that are nobody’s are 404, and the API describes itself to anybody', async () => {
  expect((await get('/api/nothing', member.token)).status).toBe(404)
  const document = await (await get('/api/openapi.json')).json()
  expect(document).toMatchObject({ openapi: '3.1.0', paths: { '/api/agents/spawn': {} } })
  expect(await (await get('/api/health')).json()).toEqual({ status: 'ok', stage: 'local' })
})
