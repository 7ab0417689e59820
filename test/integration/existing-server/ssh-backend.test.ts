import { createServer, type ServerResponse } from 'node:http'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { closeServer, listen } from '../../../local/common/listen.ts'
import { createSshBackend } from '../../../shared/adapters/existing-server/ssh-backend.ts'
import { AgentViewSchema } from '../../../shared/contracts/agents.ts'
import type { SshBackend } from '../../../shared/domain/agents/backend-port.ts'
import { BadRequest, Conflict, Forbidden, NotFound, Refused, Unavailable } from '../../../shared/domain/errors.ts'
import { startFakeServer } from './fake-server.ts'

const claims = Buffer.from(JSON.stringify({ userId: 'u1', teamId: 't1' })).toString('base64url')
/** The authorizer has verified it; here only its claims matter. */
const token = `header.${claims}.signature`
const now = '2025-03-12T10:00:00.000Z'

let server: Awaited<ReturnType<typeof startFakeServer>>
let ssh: SshBackend
beforeAll(async () => {
  server = await startFakeServer()
  ssh = createSshBackend(`${server.url}/`, { now: () => new Date(now) })
})
afterAll(() => server.close())
afterEach(() => server.reset())

/** As `GET /api/agents` of the existing server answers one (frontend contract §3.1). */
const agent = {
  id: '0b6f2c3e-agent',
  userId: 'u2',
  userName: 'Grace',
  teamId: 't1',
  agentName: 'Ada Lovelace',
  agentType: 'claude',
  task: 'write tests',
  status: 'running',
  startedAt: '2025-03-12T09:00:00.000Z',
  completedAt: null,
  outputLines: 12,
  isOwner: false,
  repositoryUrl: 'https://github.com/a/b',
}
const view = {
  id: '0b6f2c3e-agent',
  teamId: 't1',
  userId: 'u2',
  userName: 'Grace',
  agentName: 'Ada Lovelace',
  agentType: 'claude',
  type: 'claude',
  task: 'write tests',
  status: 'running',
  method: 'ssh',
  repositoryUrl: 'https://github.com/a/b',
  createdAt: '2025-03-12T09:00:00.000Z',
  startedAt: '2025-03-12T09:00:00.000Z',
  lastActivity: '2025-03-12T09:00:00.000Z',
  completedAt: null,
}
const one = `/api/agents/${agent.id}`

describe('spawn', () => {
  it("forwards the task with the member's token and answers the agent", async () => {
    server.on('POST /api/agents/spawn', { status: 201, body: { message: 'Agent spawned', agent } })
    expect(await ssh.spawn({ task: 'write tests', agentType: 'claude' }, token)).toEqual(view)
    expect(server.asked).toEqual([
      {
        method: 'POST',
        path: '/api/agents/spawn',
        authorization: `Bearer ${token}`,
        body: { task: 'write tests', agentType: 'claude', terminalLocation: 'local', terminalIsolation: 'tmux' },
      },
    ])
  })

  it.each([
    ['code-writer', 'claude'],
    ['general', 'claude'],
    ['mock', 'mock'],
  ])('asks for %s as %s', async (given, there) => {
    server.on('POST /api/agents/spawn', { status: 201, body: { agent } })
    await ssh.spawn({ task: '', agentType: given }, token)
    expect(server.asked[0]?.body).toMatchObject({ agentType: there })
  })

  it('passes a refusal on with its words', async () => {
    const body = { error: 'Validation failed', details: [{ msg: 'Task too long' }] }
    server.on('POST /api/agents/spawn', { status: 400, body })
    await expect(ssh.spawn({ task: 'x', agentType: 'claude' }, token)).rejects.toThrow(new BadRequest(body.error))
  })

  it('is not repeated when the connection breaks: the agent may have been started', async () => {
    server.on('POST /api/agents/spawn', (response) => response.destroy())
    await expect(ssh.spawn({ task: '', agentType: 'claude' }, token)).rejects.toThrow(Unavailable)
    expect(server.asked).toHaveLength(1)
  })
})

describe('list', () => {
  it('answers views that any client can read, however bare the agents are', async () => {
    const agents = [agent, { id: 'bare' }, { id: 7 }, null, { ...agent, id: 'odd', startedAt: 'soon', agentName: null }]
    server.on('GET /api/agents', { status: 200, body: { agents } })
    const views = await ssh.list(token)
    for (const each of views) expect(AgentViewSchema.parse(each)).toEqual(each)
    expect(views.map(({ id }) => id)).toEqual([agent.id, 'bare', 'odd'])
    expect(views[0]).toEqual(view)
    expect(views[1]).toMatchObject({ userId: 'u1', teamId: 't1', userName: 'u1', agentName: '', startedAt: now })
    expect(views[2]).toMatchObject({ agentName: '', startedAt: now })
  })

  it.each([
    ['provisioning', 'starting'],
    ['pending', 'starting'],
    ['spawning', 'starting'],
    ['Running', 'running'],
    ['completed', 'completed'],
    ['error', 'failed'],
    ['stopped', 'killed'],
    ['killed', 'killed'],
  ])('translates the status %s to %s', async (given, shown) => {
    server.on('GET /api/agents', { status: 200, body: { agents: [{ ...agent, status: given }] } })
    const [told] = await ssh.list(token)
    expect([told?.status, told?.reason]).toEqual([shown, undefined])
  })

  it.each([['paused'], [''], ['constructor'], [undefined]])(
    'shows the status "%s" as failed, with a reason',
    async (status) => {
      server.on('GET /api/agents', { status: 200, body: { agents: [{ ...agent, status }] } })
      const [told] = await ssh.list(token)
      expect(told).toMatchObject({ status: 'failed', reason: expect.stringContaining(status || 'no status') })
    },
  )

  it("keeps another team's agent to itself", async () => {
    server.on('GET /api/agents', { status: 200, body: { agents: [{ ...agent, teamId: 't2' }] } })
    expect(await ssh.list(token)).toEqual([])
  })

  it('reads again when the connection broke', async () => {
    server.on('GET /api/agents', (response) => response.destroy(), { status: 200, body: { agents: [agent] } })
    expect(await ssh.list(token)).toHaveLength(1)
    expect(server.asked).toHaveLength(2)
  })
})

describe('get', () => {
  const output = [
    { timestamp: now, line: 'one' },
    { timestamp: now, line: 'two' },
  ]

  it.each([
    ['beside the agent', { agent, output }],
    ['in the agent', { agent: { ...agent, output: [...output, { line: 7 }] } }],
  ])('answers the lines that stand %s', async (_where, body) => {
    server.on(`GET ${one}`, { status: 200, body })
    expect(await ssh.get(agent.id, token)).toEqual({ agent: view, output })
  })

  it('is undefined for an agent that it does not know, or of another team', async () => {
    server.on(`GET ${one}`, { status: 404, body: { error: 'Agent not found' } })
    expect(await ssh.get(agent.id, token)).toBeUndefined()
    server.on(`GET ${one}`, { status: 200, body: { agent: { ...agent, teamId: 't2' } } })
    expect(await ssh.get(agent.id, token)).toBeUndefined()
  })

  it.each([['..'], ['a/b'], ['%2e%2e'], ['a?b'], [''], ['x'.repeat(129)]])(
    'never asks for the id "%s", which would be another path',
    async (id) => {
      expect(await ssh.get(id, token)).toBeUndefined()
      await expect(ssh.input(id, 'x', token)).rejects.toThrow(NotFound)
      expect(server.asked).toEqual([])
    },
  )
})

describe('stop', () => {
  it('is SIGTERM, which leaves the agent and its output', async () => {
    server.on(`GET ${one}`, { status: 200, body: { agent } })
    server.on(`POST ${one}/signal`, { status: 200, body: { message: 'Signal sent' } })
    await ssh.stop(agent.id, token)
    expect(server.asked.at(-1)).toMatchObject({ method: 'POST', path: `${one}/signal`, body: { signal: 'SIGTERM' } })
  })

  it('leaves an agent alone that has ended', async () => {
    server.on(`GET ${one}`, { status: 200, body: { agent: { ...agent, status: 'completed' } } })
    await ssh.stop(agent.id, token)
    expect(server.asked.map(({ method }) => method)).toEqual(['GET'])
  })

  it('is NotFound for an agent that it does not know', async () => {
    await expect(ssh.stop(agent.id, token)).rejects.toThrow(NotFound)
  })
})

describe('delete', () => {
  it('deletes one; one that is gone is deleted already', async () => {
    server.on(`DELETE ${one}`, { status: 200, body: { message: 'Deleted', agentId: agent.id } }, { status: 404 })
    await ssh.delete(agent.id, token)
    await ssh.delete(agent.id, token)
    expect(server.asked.map(({ method, path }) => `${method} ${path}`)).toEqual([`DELETE ${one}`, `DELETE ${one}`])
  })

  it('throws what it could not delete', async () => {
    server.on(`DELETE ${one}`, { status: 500, body: { error: 'tmux' } })
    await expect(ssh.delete(agent.id, token)).rejects.toThrow(Unavailable)
  })

  it('deletes all and says how many', async () => {
    server.on('DELETE /api/agents', { status: 200, body: { message: 'Deleted', deletedCount: 3 } })
    expect(await ssh.deleteAll(token)).toBe(3)
  })
})

describe('input and signal', () => {
  it('are forwarded', async () => {
    server.on(`POST ${one}/input`, { status: 200, body: { message: 'ok' } })
    server.on(`POST ${one}/signal`, { status: 200, body: { message: 'ok' } })
    await ssh.input(agent.id, 'ls\r', token)
    await ssh.signal(agent.id, 'SIGINT', token)
    expect(server.asked.map(({ path, body }) => [path, body])).toEqual([
      [`${one}/input`, { input: 'ls\r' }],
      [`${one}/signal`, { signal: 'SIGINT' }],
    ])
  })
})

describe('refusals and failures', () => {
  const inputFails = () =>
    ssh.input(agent.id, 'x', token).then(
      () => undefined,
      (error: unknown) => error,
    )

  it.each([
    [403, { error: 'Not your agent' }, new Forbidden('Not your agent')],
    [404, { message: 'Agent not found' }, new NotFound('Agent not found')],
    [409, { message: 'Not running', error: 'conflict' }, new Conflict('Not running')],
    [429, { error: 'Slow down' }, new Refused(429, 'Slow down')],
    [400, { error: { nested: true } }, new BadRequest('The existing server refused this (HTTP 400)')],
    [418, undefined, new Refused(418, 'The existing server refused this (HTTP 418)')],
  ])('%s passes on as it is: %j', async (status, body, expected) => {
    server.on(`POST ${one}/input`, { status, body })
    const error = await inputFails()
    expect(error).toEqual(expected)
    expect(error).toBeInstanceOf(expected.constructor)
    if (error instanceof Refused) expect(error.status).toBe(status)
  })

  it('bounds and cleans the words of an error', async () => {
    server.on(`POST ${one}/input`, { status: 400, body: { error: `line\r\nline ${'x'.repeat(5000)}` } })
    const error = await inputFails()
    expect(error).toMatchObject({ message: expect.stringMatching(/^line line x+$/) })
    expect(String((error as Error).message).length).toBeLessThanOrEqual(500)
  })

  it.each([[500], [502], [302], [304]])('HTTP %s is Unavailable', async (status) => {
    server.on(`POST ${one}/input`, { status, body: { error: 'stack trace of theirs' } })
    const error = await inputFails()
    expect(error).toBeInstanceOf(Unavailable)
    expect(String(error)).not.toContain('stack trace')
  })

  it('does not follow a redirect with the token', async () => {
    server.on('GET /api/agents', (response) => response.writeHead(302, { location: '/elsewhere' }).end())
    await expect(ssh.list(token)).rejects.toThrow(Unavailable)
    expect(server.asked.map(({ path }) => path)).toEqual(['/api/agents'])
  })

  it.each([
    ['an HTML page', (response: ServerResponse) => response.end('<!doctype html>')],
    ['an answer of another shape', (response: ServerResponse) => response.end('{"agents":{}}')],
    ['an endless answer', (response: ServerResponse) => response.end(Buffer.alloc(4_000_001, 32))],
  ])('%s is Unavailable', async (_what, respond) => {
    server.on('GET /api/agents', (response) => respond(response))
    await expect(ssh.list(token)).rejects.toThrow(
      new Unavailable('The existing server gave an answer that cannot be read'),
    )
  })

  it('says so when nobody listens', async () => {
    const gone = createServer()
    const url = await listen(gone)
    await closeServer(gone)
    await expect(createSshBackend(url).list(token)).rejects.toThrow('The existing server cannot be reached')
  })
})

describe('without an existing server', () => {
  const none = createSshBackend(undefined)

  it('there are no agents, and none can be started', async () => {
    expect(await none.list(token)).toEqual([])
    expect(await none.get('a', token)).toBeUndefined()
    expect(await none.deleteAll(token)).toBe(0)
    await expect(none.spawn({ task: '', agentType: 'claude' }, token)).rejects.toThrow(Unavailable)
    await expect(none.input('a', 'x', token)).rejects.toThrow('none configured')
  })
})
