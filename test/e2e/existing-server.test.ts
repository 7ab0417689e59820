/** The whole product in front of the stand-in of the existing server: accounts, forwarding, and what holds when it is gone. */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { PutCommand } from '@aws-sdk/lib-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import type { ExistingServer } from '../../local/existing-server/server.ts'
import type { Product } from '../support/product.ts'
import { startWithExistingServer, type WithExistingServer } from '../support/with-existing-server.ts'

const repositoryUrl = 'https://127.0.0.1:1/engines/analytical.git'

let existing: ExistingServer
let product: Product
let started: WithExistingServer
beforeAll(async () => {
  started = await startWithExistingServer({ scheduleRate: 0 })
  existing = started.existing
  product = started.product
})
afterAll(() => started.close())

const SessionSchema = z.object({
  token: z.string(),
  user: z.object({ id: z.string(), name: z.string(), email: z.string() }),
  team: z.object({ id: z.string(), name: z.string(), inviteCode: z.string(), repositoryUrl: z.string().nullable() }),
})
type Session = z.infer<typeof SessionSchema>

async function call(method: string, path: string, { token, body }: { token?: string; body?: unknown } = {}) {
  const response = await fetch(new URL(path, product.url), {
    method,
    redirect: 'manual',
    headers: {
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) }
}

let ada: Session
it('a team is registered, its founder signs in, a member joins by code', async () => {
  const founder = { teamName: 'Engines', userName: 'Ada', email: 'Ada@Example.com', password: 'difference' }
  const registered = await call('POST', '/api/auth/register', { body: founder })
  expect(registered.status).toBe(201)
  expect(SessionSchema.parse(registered.body).team.inviteCode).toMatch(/^[A-Z0-9]{6}$/)

  const login = { email: 'ada@example.com', password: 'difference' }
  const signedIn = await call('POST', '/api/auth/login', { body: login })
  expect(signedIn.status).toBe(200)
  ada = SessionSchema.parse(signedIn.body)

  const joiner = {
    inviteCode: ada.team.inviteCode,
    userName: 'Grace',
    email: 'grace@example.com',
    password: 'compiler',
  }
  const joined = await call('POST', '/api/auth/join', { body: joiner })
  expect([joined.status, SessionSchema.parse(joined.body).team.id]).toEqual([201, ada.team.id])

  const refused = await call('POST', '/api/auth/login', { body: { ...login, password: 'wrong!' } })
  expect([refused.status, refused.body]).toEqual([401, { error: 'Invalid email or password' }])
})

it('the token of the existing server is a token here, and its payload is what the client can decode', async () => {
  expect((await call('GET', '/api/agents', { token: ada.token })).body).toEqual({ agents: [] })
  const payload = ada.token.split('.')[1] ?? ''
  expect(payload).not.toMatch(/[-_]/)
  expect(Object.keys(JSON.parse(atob(payload))).sort()).toEqual(['exp', 'iat', 'teamId', 'userId'])
})

it('an agent starts in the repository that the team has just chosen, under its member’s name', async () => {
  const before = await call('POST', '/api/agents/spawn', {
    token: ada.token,
    body: { agentType: 'mock', task: 'exit' },
  })
  expect(before.body.agent).toMatchObject({ userName: 'Ada', repositoryUrl: null })
  const configured = await call('POST', '/api/team/configure-repository', { token: ada.token, body: { repositoryUrl } })
  expect(configured.body).toMatchObject({ team: { id: ada.team.id, repositoryUrl } })
  // As the frontend does after it.
  const me = await call('GET', '/api/auth/me', { token: ada.token })
  expect(me.body).toMatchObject({ user: { id: ada.user.id, name: 'Ada' }, team: { repositoryUrl } })
  const after = await call('POST', '/api/agents/spawn', { token: ada.token, body: { agentType: 'mock', task: 'exit' } })
  expect(after.body.agent).toMatchObject({ repositoryUrl })
})

describe('a forwarded route', () => {
  it('passes a redirect with its cookie on, without following it', async () => {
    const { status, headers } = await call('GET', '/api/auth/github?intent=signup')
    expect([status, headers.get('location')]).toEqual([302, '/?error=github_not_configured'])
    expect(headers.getSetCookie()).toEqual([expect.stringMatching(/^connect\.sid=.+; HttpOnly/)])
  })

  it.each([
    ['without a token', undefined, 401, { error: 'Access token required' }],
    ['with a bad one', 'nonsense', 403, { error: 'Invalid or expired token' }],
  ])('is refused by the existing server in its own words %s', async (_, token, status, body) => {
    const answered = await call('GET', '/api/github/status', token ? { token } : {})
    expect([answered.status, answered.body]).toEqual([status, body])
  })

  it('that the existing server does not know either is its 404', async () => {
    const { status, body } = await call('PATCH', '/api/agents/anything', { token: ada.token })
    expect([status, body]).toEqual([404, { error: 'Not found' }])
  })
})

it('a path of ours in disguise does not reach the existing server', async () => {
  const { status, body } = await call('POST', '/api/agents/spawn/', { token: ada.token, body: { agentType: 'mock' } })
  expect([status, body]).toMatchObject([404, { code: 'NOT_FOUND' }])
})

it('a team without containers has its agents on the existing server', async () => {
  const founder = { teamName: 'Looms', userName: 'Joseph', email: 'joseph@example.com', password: 'punchcard' }
  const { token, team } = SessionSchema.parse((await call('POST', '/api/auth/register', { body: founder })).body)
  const TableName = product.runtime.functionOf('spawn-agent').environment.FLAGS_TABLE
  await product.tables.send(new PutCommand({ TableName, Item: { scope: `team#${team.id}`, useDockerAgents: false } }))

  const spawned = await call('POST', '/api/agents/spawn', { token, body: { agentType: 'mock', task: '' } })
  expect([spawned.status, spawned.body]).toMatchObject([200, { method: 'ssh', agent: { userName: 'Joseph' } }])
  const one = `/api/agents/${spawned.body.agent.id}`
  expect((await call('POST', `${one}/input`, { token, body: { input: 'good morning\r' } })).status).toBe(200)
  const list = await call('GET', '/api/agents', { token })
  expect(list.body.agents).toMatchObject([{ id: spawned.body.agent.id, status: 'running', method: 'ssh' }])
  expect((await call('POST', `${one}/signal`, { token, body: { signal: 'SIGTERM' } })).status).toBe(200)
  expect((await call('DELETE', one, { token })).status).toBe(200)
  expect((await call('GET', '/api/agents', { token })).body).toEqual({ agents: [] })
})

describe('the workspace layout', () => {
  const layout = {
    tiles: [{ id: 'chat-1', type: 'chat', title: 'Chat' }, null, { id: 'chat-1', unknown: { deep: [null] } }],
    layouts: {
      lg: [
        { i: 'a', x: 0 },
        { i: 'a', x: 0.5 },
      ],
      md: null,
    },
    sidebarWidth: 333.5,
    extra: null,
  }

  it('is an empty desk first, then what any member stored last, for this team alone', async () => {
    const first = await call('GET', '/api/workspace/config', { token: ada.token })
    expect([first.status, first.body]).toEqual([200, { tiles: [], layouts: {}, sidebarWidth: 280 }])
    const put = await call('PUT', '/api/workspace/config', { token: ada.token, body: layout })
    expect([put.status, put.body]).toEqual([200, { ...layout, message: expect.any(String) }])
    const login = { email: 'grace@example.com', password: 'compiler' }
    const grace = SessionSchema.parse((await call('POST', '/api/auth/login', { body: login })).body)
    expect((await call('GET', '/api/workspace/config', { token: grace.token })).body).toEqual(layout)
    const stranger = await product.member()
    expect((await stranger.call('GET', '/api/workspace/config')).body).toEqual(first.body)
  })

  it.each([
    ['tiles', { ...layout, tiles: {} }, 400],
    ['layouts', { ...layout, layouts: [] }, 400],
    ['sidebarWidth', { ...layout, sidebarWidth: 99 }, 400],
    ['layouts', { ...layout, layouts: { lg: ['x'.repeat(400_000)] } }, 413],
  ])('names %s when it is wrong', async (field, body, status) => {
    const refused = await call('PUT', '/api/workspace/config', { token: ada.token, body })
    expect([refused.status, refused.body.details[0].field]).toEqual([status, field])
    expect((await call('GET', '/api/workspace/config', { token: ada.token })).body).toEqual(layout)
  })
})

it('a token of nobody whom the existing server knows works as well: names are ids', async () => {
  const member = await product.member()
  expect(await member.spawn('exit')).toMatchObject({ userName: member.userId, repositoryUrl: null })
})

it('when the existing server has stopped answering, whoever was asked about before does not wait for it', async () => {
  await existing.close()
  const silent = createServer()
  const asked = once(silent, 'connection')
  await new Promise<void>((resolve, reject) => {
    silent.once('error', reject)
    silent.listen(Number(new URL(existing.url).port), '127.0.0.1', resolve)
  })
  const me = await call('GET', '/api/auth/me', { token: ada.token })
  expect([me.status, me.body]).toMatchObject([200, { user: ada.user }])
  // Given up, the function has let go of it.
  const [socket] = (await asked) as [Socket]
  socket.resume()
  if (!socket.closed) await once(socket, 'close')
  await new Promise((resolve) => silent.close(resolve))
})

describe('when the existing server is gone', () => {
  it('whoever was asked about before is still answered, nobody else', async () => {
    const me = await call('GET', '/api/auth/me', { token: ada.token })
    expect([me.status, me.body]).toMatchObject([200, { user: ada.user, team: { id: ada.team.id, repositoryUrl } }])
    const stranger = await product.member(ada.team.id, ada.user.id)
    const other = await stranger.call('GET', '/api/auth/me')
    expect([other.status, other.body]).toMatchObject([502, { message: expect.stringContaining('cannot be reached') }])
  })

  it('what is forwarded says so, and agents go on', async () => {
    const { status, body } = await call('GET', '/api/github/status', { token: ada.token })
    expect([status, body]).toMatchObject([502, { message: expect.any(String), code: 'BAD_GATEWAY' }])
    const spawned = await call('POST', '/api/agents/spawn', {
      token: ada.token,
      body: { agentType: 'mock', task: 'exit' },
    })
    expect(spawned.body.agent).toMatchObject({ userName: 'Ada', repositoryUrl })
  })
})
