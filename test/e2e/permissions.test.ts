/** What functions do on one machine, their roles allow in an account: every call of a day's work is held against the template's policies. */
import { EventEmitter, once } from 'node:events'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { signature } from '../../ops/team.ts'
import { functions } from '../../shared/contracts/functions.ts'
import { TERMINAL_LOG_MAX_BYTES } from '../../shared/contracts/limits.ts'
import { needsOf, ownTeams, permissionsOf } from '../infra/support/permissions.ts'
import type { Product, TestMember } from '../support/product.ts'
import { startWithExistingServer, type WithExistingServer } from '../support/with-existing-server.ts'
import { internalSecret, madeFor, SOON, storeCredentials, withWorkspace } from '../support/workspaces.ts'

let started: WithExistingServer
let product: Product
const calls = new EventEmitter()
/** `function: action on resource` of all calls that functions made, and of those that their roles do not allow. */
const made = new Set<string>()
const denied = new Set<string>()

beforeAll(async () => {
  started = await startWithExistingServer()
  product = started.product
  const { lambda, assembly } = product.runtime
  const allowed = permissionsOf(assembly)
  const teams = ownTeams(assembly)
  const observe = lambda.observeCall.bind(lambda)
  lambda.observeCall = (call) => {
    const caller = lambda.environmentOfAccessKey(call.accessKeyId ?? '')?.functionName
    if (caller !== undefined) {
      for (const needed of needsOf(call, teams)) {
        const text = `${caller}: ${needed.action} on ${needed.resource}`
        made.add(text)
        if (!allowed(caller, needed)) denied.add(text)
      }
      calls.emit('made')
    }
    return observe(call)
  }
})
afterAll(() => started.close())

const hasMade = (caller: string) => [...made].some((text) => text.startsWith(`covibes-local-${caller}: `))

async function runSchedules(): Promise<void> {
  const { assembly, eventBridge } = product.runtime
  const schedules = assembly.ofType('AWS::Events::Rule').filter(({ properties }) => properties.ScheduleExpression)
  for (const { ref } of schedules) eventBridge.trigger(ref)
  while (!['reconcile-tasks', 'sweep-outbox', 'ping-connections'].every(hasMade)) await once(calls, 'made')
}

/** A preview comes up, is asked for in every way, and is stopped. */
async function previewsLife(member: TestMember): Promise<void> {
  await member.call('POST', '/api/ide/file', { path: 'index.html', content: '<h1>hello</h1>' })
  expect((await member.call('POST', '/api/preview/create', {})).status).toBe(200)
  await vi.waitFor(async () => {
    const { body } = await member.call('GET', '/api/preview/status')
    expect(body).toMatchObject({ workspace: { status: 'ready' } })
  }, SOON)
  await member.call('GET', '/api/preview/logs/workspace')
  const { teamId, token } = member
  await fetch(new URL(`/api/preview/proxy/${teamId}/workspace/`, product.runtime.url), {
    headers: { authorization: `Bearer ${token}` },
    redirect: 'manual',
  })
  expect((await member.call('POST', '/api/preview/restart', {})).status).toBe(200)
  expect((await member.call('POST', '/api/preview/stop', {})).status).toBe(200)
}

/** All that can be asked for a team: what is made for it is made, replaced and taken away again. */
async function teamsLife(member: TestMember): Promise<void> {
  const { teamId } = member
  const environment = `/api/environments/${teamId}`
  await storeCredentials(product, teamId, JSON.stringify({ kind: 'token', token: 'a-token' }))
  await withWorkspace(member)
  await member.call('GET', `${environment}/why`)
  await member.call('POST', '/api/ide/file', { path: 'a.txt', content: 'a' })
  await member.call('GET', '/api/ide/file?path=a.txt')
  await member.call('GET', '/api/ide/files')
  await previewsLife(member)
  await member.call('POST', `${environment}/restart`)
  await member.stopEnvironment()
  expect((await member.call('DELETE', environment)).status).toBe(200)
  await vi.waitFor(
    async () => expect(await madeFor(product, teamId)).toMatchObject({ accessPoints: 0, roles: 0 }),
    SOON,
  )
  const path = `/internal/teams/${teamId}`
  const answer = await fetch(new URL(path, product.runtime.apiUrl), {
    method: 'DELETE',
    headers: signature('DELETE', path, await internalSecret(product)),
  })
  expect(answer.status).toBe(200)
  await vi.waitFor(async () => expect(await madeFor(product, teamId)).toMatchObject({ secrets: 0 }), SOON)
}

it('roles allow all that functions do in the life of agents and their watchers', { timeout: 240_000 }, async () => {
  const member = await product.member()
  const socket = await member.socket()
  const runs = async (agentType: string, task: string) => {
    const { id } = await member.spawn(task, { agentType })
    await socket.next('agent-status', (payload) => payload.agentId === id && payload.status === 'running')
    return id
  }

  const id = await runs('mock', '')
  await socket.connectTerminal(id)
  await socket.seen(id, 'mock>')
  socket.type(id, 'hello\r')
  await socket.seen(id, 'you said: hello')
  await member.call('POST', `/api/agents/${id}/input`, { input: 'again\r' })
  await socket.seen(id, 'you said: again')
  for (const path of ['', '/list', `/${id}`, `/${id}/output`, `/${id}/container`]) {
    await member.call('GET', `/api/agents${path}`)
  }
  await member.call('GET', '/api/health')
  await member.call('GET', '/api/workspace/config')
  await member.call('PUT', '/api/workspace/config', { tiles: [], layouts: {}, sidebarWidth: 300 })
  const account = { teamName: 'Looms', userName: 'Joseph', email: 'joseph@example.com', password: 'punchcard' }
  const { token } = (await member.call('POST', '/api/auth/register', account)).body as { token: string }
  await member.call('GET', '/api/auth/me', undefined, { authorization: `Bearer ${token}` })
  await member.call('POST', `/api/agents/${id}/signal`, { signal: 'SIGINT' })
  await runSchedules()
  await member.call('POST', `/api/agents/${id}/stop`)
  await socket.ended(id)
  await member.call('DELETE', `/api/agents/${id}`)

  // A log so long that its beginning is cleared away, watched by polling; and an agent that needs its team's model key.
  const polling = await member.socket({ transports: ['polling'] })
  const long = await member.spawn(`flood ${TERMINAL_LOG_MAX_BYTES + 500_000}; exit 0`)
  await polling.ended(long.id, 60_000)
  await runs('claude', '')
  await member.call('DELETE', '/api/agents')

  await teamsLife(member)

  expect([...denied]).toEqual([])
  const callsAws = (uses: readonly string[]) => uses.some((capability) => capability !== 'existingServer')
  const silent = Object.entries(functions).filter(([caller, { uses }]) => callsAws(uses) && !hasMade(caller))
  expect(silent.map(([caller]) => caller)).toEqual([])
})
