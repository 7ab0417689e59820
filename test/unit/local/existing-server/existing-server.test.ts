import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jwtVerify, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ExistingServer, startExistingServer } from '../../../../local/existing-server/server.ts'
import { issueToken } from '../../../../local/existing-server/tokens.ts'
import { createSshBackend } from '../../../../shared/adapters/existing-server/ssh-backend.ts'
import type { SshBackend } from '../../../../shared/domain/agents/backend-port.ts'
import { NotFound } from '../../../../shared/domain/errors.ts'

const secret = 'a-secret-for-tests'
const directory = mkdtempSync(join(tmpdir(), 'covibes-stand-in-'))
const options = { directory, jwtSecret: secret, model: { baseUrl: 'http://127.0.0.1:1', apiKey: 'key' } }
let server: ExistingServer
beforeAll(async () => {
  server = await startExistingServer(options)
})
afterAll(async () => {
  await server.close()
  rmSync(directory, { recursive: true, force: true })
})

async function call(method: string, path: string, body?: unknown, authorization?: string) {
  const response = await fetch(`${server.url}${path}`, {
    method,
    redirect: 'manual',
    headers: authorization === undefined ? {} : { authorization },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) }
}
let people = 0
const newcomer = () => ({ userName: 'Ada', email: `ada${++people}@example.com`, password: 'difference' })
const registered = async (teamName = 'Engines') => {
  const person = newcomer()
  const { status, body } = await call('POST', '/api/auth/register', { teamName, ...person })
  expect(status).toBe(201)
  return { ...body, person, bearer: `Bearer ${body.token}` }
}

describe('accounts', () => {
  it('issues tokens with exactly the claims, a day long, that the client can decode', async () => {
    for (let n = 0; n < 20; n++) {
      const token = await issueToken({ userId: crypto.randomUUID(), teamId: crypto.randomUUID() }, secret)
      expect(token.split('.')[1]).not.toMatch(/[-_]/)
    }
    const { token, user, team } = await registered()
    const { payload, protectedHeader } = await jwtVerify(token, new TextEncoder().encode(secret))
    expect(protectedHeader).toEqual({ alg: 'HS256' })
    expect(payload).toEqual({ userId: user.id, teamId: team.id, iat: expect.any(Number), exp: expect.any(Number) })
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(86_400)
  })

  it('survive a restart, with no password in the file', async () => {
    const { person, user } = await registered()
    await server.close()
    server = await startExistingServer(options)
    const { status, body } = await call('POST', '/api/auth/login', { email: person.email, password: person.password })
    expect([status, body.user]).toEqual([200, user])
    const file = join(directory, 'accounts.json')
    expect(readFileSync(file, 'utf8')).not.toContain(person.password)
    expect(statSync(file).mode & 0o077).toBe(0)
    expect(readdirSync(directory).filter((name) => name.endsWith('.new'))).toEqual([])
  })

  it('belong to one team each; a code in small letters is the same code', async () => {
    const { team } = await registered()
    const joined = await call('POST', '/api/auth/join', {
      ...newcomer(),
      inviteCode: team.inviteCode.toLowerCase(),
    })
    expect([joined.status, joined.body.team]).toEqual([201, team])
    expect((await call('POST', '/api/auth/join', { ...newcomer(), inviteCode: 'AAAAA1' })).status).toBe(404)
  })

  it('of one address is one, however many ask at once', async () => {
    const person = newcomer()
    const tries = await Promise.all(
      [person.email, person.email.toUpperCase(), person.email].map((email, n) =>
        call('POST', '/api/auth/register', { teamName: `Team ${n}`, ...person, email }),
      ),
    )
    expect(tries.map(({ status }) => status).sort()).toEqual([201, 400, 400])
  })

  it.each([
    ['teamName', { teamName: ' ' }],
    ['userName', { userName: undefined }],
    ['email', { email: 'nobody' }],
    ['password', { password: 'short' }],
  ])('are refused with what is wrong: %s', async (field, wrong) => {
    const { status, body } = await call('POST', '/api/auth/register', { teamName: 'T', ...newcomer(), ...wrong })
    expect([status, body.error, body.details.map(({ path }: { path: string }) => path)]).toEqual([
      400,
      'Validation failed',
      [field],
    ])
  })

  it.each([
    ['no JSON', '{', 400],
    ['a list', '[]', 400],
    ['a megabyte', JSON.stringify({ email: 'x'.repeat(1_100_000) }), 413],
  ])('take no %s', async (_, body, status) => {
    expect((await call('POST', '/api/auth/login', body)).status).toBe(status)
  })
})

describe('who asks', () => {
  const forged = (claims: object, key: string) =>
    new SignJWT({ ...claims }).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(key))

  it.each(['/api/auth/me', '/api/github/status', '/api/github/repositories', '/api/vm/status', '/api/agents'])(
    '%s: 401 without a token, 403 with a bad one',
    async (path) => {
      expect(await call('GET', path)).toEqual({ status: 401, body: { error: 'Access token required' } })
      const foreign = await forged({ userId: 'u', teamId: 't' }, 'another-secret')
      const evil = await forged({ userId: 'u', teamId: '../t' }, secret)
      for (const bad of ['Bearer nonsense', `Bearer ${foreign}`, `Bearer ${evil}`])
        expect(await call('GET', path, undefined, bad)).toMatchObject({ status: 403 })
    },
  )

  it('is told with the team; the repository is the whole team’s', async () => {
    const { bearer, user, team, person } = await registered()
    const repositoryUrl = 'https://github.com/engines/analytical'
    const joined = await call('POST', '/api/auth/join', { ...newcomer(), inviteCode: team.inviteCode })
    const set = await call('POST', '/api/team/configure-repository', { repositoryUrl }, bearer)
    expect([set.status, set.body.team]).toEqual([200, { ...team, repositoryUrl }])
    const me = await call('GET', '/api/auth/me', undefined, `Bearer ${joined.body.token}`)
    expect(me.body).toEqual({ user: joined.body.user, team: { ...team, repositoryUrl } })
    expect(user).toEqual({ id: user.id, name: 'Ada', email: person.email, teamId: team.id, hasVMConfig: false })
    for (const bad of ['', 'not a url', 'javascript:alert(1)', 'file:///etc'])
      expect((await call('POST', '/api/github/set-team-repository', { repositoryUrl: bad }, bearer)).status).toBe(400)
  })

  it('without an account here is nobody to be told about', async () => {
    const token = await issueToken({ userId: 'dev-user', teamId: 'dev-team' }, secret)
    const me = await call('GET', '/api/auth/me', undefined, `Bearer ${token}`)
    expect(me).toEqual({ status: 404, body: { error: 'User not found' } })
    expect((await call('GET', '/api/agents', undefined, `Bearer ${token}`)).body).toEqual({ agents: [] })
  })
})

describe('agents, as the control plane’s ssh backend drives them', () => {
  let ssh: SshBackend
  let token: string
  beforeAll(async () => {
    ssh = createSshBackend(server.url)
    token = (await registered()).token
  })
  const mock = (task: string) => ssh.spawn({ task, agentType: 'mock' }, token)
  /** Reads the agent until it shows what is waited for; the test's own time limit ends it. */
  async function seen(id: string, fits: (told: NonNullable<Awaited<ReturnType<SshBackend['get']>>>) => boolean) {
    for (;;) {
      const told = await ssh.get(id, token)
      if (!told) throw new Error(`agent ${id} is gone`)
      if (fits(told)) return told
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const ended = (id: string) => seen(id, ({ agent }) => agent.status !== 'running' && agent.status !== 'starting')

  it.each([
    ['exit 0', 'completed', 0],
    ['exit 3', 'failed', 3],
  ])('%s: %s', async (task, status, exitCode) => {
    const { id } = await mock(task)
    expect((await ended(id)).agent).toMatchObject({ status, exitCode, userName: 'Ada', agentType: 'mock' })
    await expect(ssh.input(id, 'help\r', token)).rejects.toThrow('Agent is not running')
  })

  it('read what is typed and show what they print', async () => {
    const { id } = await mock('')
    await ssh.input(id, 'hello there\r', token)
    const { output } = await seen(id, ({ output: lines }) => lines.some(({ line }) => line.includes('you said')))
    expect(output.map(({ line }) => line).join('\n')).toContain('you said: hello there')
    await ssh.delete(id, token)
    expect(await ssh.get(id, token)).toBeUndefined()
  })

  it('are killed by a signal, and by stopping', async () => {
    const [one, two] = [await mock('sleep 600'), await mock('sleep 600')]
    await ssh.signal(one.id, 'SIGTERM', token)
    await ssh.stop(two.id, token)
    expect((await ended(one.id)).agent.status).toBe('killed')
    expect((await ended(two.id)).agent.status).toBe('killed')
  })

  it('are the team’s own, and all deleted at once', async () => {
    const { id } = await mock('sleep 600')
    const other = (await registered('Others')).token
    expect([await ssh.list(other), await ssh.get(id, other)]).toEqual([[], undefined])
    await expect(ssh.input(id, 'x', other)).rejects.toThrow(NotFound)
    expect((await ssh.list(token))[0]?.id).toBe(id)
    const count = (await ssh.list(token)).length
    expect(await ssh.deleteAll(token)).toBe(count)
    expect(await ssh.list(token)).toEqual([])
  })

  it('keep their newest lines only', async () => {
    const { id } = await mock('flood 200000; exit 0')
    const { output } = await ended(id)
    expect(output.length).toBe(1_000)
    expect(output.at(-1)?.line).toContain('0000003124')
  })

  it('of claude need a task: they have no terminal', async () => {
    await expect(ssh.spawn({ task: '', agentType: 'claude' }, token)).rejects.toThrow('Validation failed')
  })
})
