/** Every way an agent can end: the right state and the right reason, over HTTP and over a socket. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Product, startProduct, type TestMember, type TestSocket } from '../support/product.ts'

let product: Product
let member: TestMember
let socket: TestSocket
beforeAll(async () => {
  product = await startProduct()
  member = await product.member()
  socket = await member.socket()
})
afterAll(() => product.close())
afterEach(() => product.runtime.faults.reset())

/** No task is left, of the team's workspace sync neither. */
async function everythingEnds(): Promise<void> {
  await member.stopEnvironment()
  await product.runtime.ecs.idle()
}

async function runningAgent(task: string): Promise<string> {
  const { id } = await member.spawn(task)
  await socket.next('agent-status', (payload) => payload.agentId === id && payload.status === 'running')
  return id
}

async function endsAs(id: string, status: string, reason: unknown, exitCode?: number): Promise<void> {
  const told = await socket.ended(id)
  expect(told).toMatchObject({ agentId: id, status })
  const agent = await member.agent(id)
  expect(agent).toMatchObject({ status, completedAt: expect.any(String) })
  if (reason !== undefined) {
    expect(agent.reason).toEqual(reason)
    expect(told.message).toEqual(reason)
    expect(agent.container?.reason).toEqual(reason)
  }
  if (exitCode !== undefined) expect(agent.exitCode).toBe(exitCode)
  expect(socket.of('agent-spawned').filter(({ agent: view }) => (view as { id: string }).id === id)).toHaveLength(1)
}

describe('an agent ends', () => {
  it('by exit 0: completed', async () => {
    const { id } = await member.spawn('exit 0')
    await endsAs(id, 'completed', undefined, 0)
    expect(socket.statuses(id)).toEqual(['running', 'completed'])
  })

  it('by exit 3: failed, with the code', async () => {
    const { id } = await member.spawn('exit 3')
    await endsAs(id, 'failed', 'exit code 3', 3)
    expect(socket.statuses(id)).toEqual(['running', 'failed'])
  })

  it('on request: killed, when it has really stopped', async () => {
    const id = await runningAgent('')
    const answer = await member.call('POST', `/api/agents/${id}/stop`)
    expect(answer).toMatchObject({ status: 200, body: { agent: { id, status: 'running' } } })
    await endsAs(id, 'killed', 'stopped on request')
    expect(socket.statuses(id)).toEqual(['running', 'killed'])
  })

  it('by SIGKILL: killed, with the signal', async () => {
    const id = await runningAgent('')
    await socket.connectTerminal(id)
    await socket.seen(id, 'mock>')
    expect(await member.call('POST', `/api/agents/${id}/signal`, { signal: 'SIGKILL' })).toMatchObject({ status: 200 })
    await endsAs(id, 'killed', expect.stringContaining('SIGKILL'), 137)
  })

  it('with an image that cannot start: failed, with the platform’s reason', async () => {
    product.runtime.faults.start.add({ kind: 'image-pull' }, { times: 1 })
    const { id } = await member.spawn('')
    await endsAs(id, 'failed', expect.stringContaining('CannotPullContainer'))
    expect(socket.statuses(id)).toEqual(['failed'])
  })

  it('when ECS refuses for good: failed, with the refusal', async () => {
    product.runtime.faults.runTask.add({ kind: 'refuse' }, { times: 3 })
    const { id } = await member.spawn('')
    await endsAs(id, 'failed', expect.stringMatching(/\w/))
  })

  it('when ECS throttles once: it runs all the same', async () => {
    product.runtime.faults.runTask.add({ kind: 'throttle' }, { times: 1 })
    const { id } = await member.spawn('exit 0')
    await endsAs(id, 'completed', undefined, 0)
  })

  it('when ECS never answers: failed, in the end, and it says so', { timeout: 150_000 }, async () => {
    product.runtime.faults.runTask.add({ kind: 'hang' })
    const { id } = await member.spawn('')
    await socket.ended(id, 140_000)
    await endsAs(id, 'failed', expect.stringContaining('ECS did not say whether it started the task'))
  })

  it('when the answer of RunTask is lost: one task, and it runs', async () => {
    product.runtime.faults.runTask.add({ kind: 'lose-answer' }, { times: 1 })
    const { id } = await member.spawn('exit 0')
    await endsAs(id, 'completed', undefined, 0)
  })
})

describe('a stop that ECS refuses', () => {
  it('is not called stopped: the reason says why, and the next stop works', async () => {
    const id = await runningAgent('')
    product.runtime.faults.stopTask.add({ kind: 'server-error' })
    await member.call('POST', `/api/agents/${id}/stop`)
    await vi.waitFor(async () => expect((await member.agent(id)).reason).toContain('ECS refused to stop the task'), {
      timeout: 20_000,
    })
    expect((await member.agent(id)).status).toBe('running')
    product.runtime.faults.reset()
    await member.call('POST', `/api/agents/${id}/stop`)
    await endsAs(id, 'killed', 'stopped on request')
  })
})

describe('delete', () => {
  const isGone = async (id: string) => {
    await socket.next('agent-deleted', (payload) => payload.agentId === id)
    expect((await member.call('GET', `/api/agents/${id}`)).status).toBe(404)
    const { body } = await member.call('GET', '/api/agents')
    expect((body as { agents: { id: string }[] }).agents.map((agent) => agent.id)).not.toContain(id)
    expect(socket.of('agent-deleted').filter(({ agentId }) => agentId === id)).toHaveLength(1)
  }

  it('a finished agent', async () => {
    const { id } = await member.spawn('exit 0')
    await socket.ended(id)
    expect(await member.call('DELETE', `/api/agents/${id}`)).toMatchObject({ status: 200, body: { agentId: id } })
    await isGone(id)
  })

  it('an agent that starts, and one that runs; their tasks are stopped', async () => {
    const starting = await member.spawn('')
    expect((await member.call('DELETE', `/api/agents/${starting.id}`)).status).toBe(200)
    await isGone(starting.id)
    const running = await runningAgent('')
    expect((await member.call('DELETE', `/api/agents/${running}`)).status).toBe(200)
    await isGone(running)
    expect((await member.call('DELETE', `/api/agents/${running}`)).status).toBe(404)
    await everythingEnds()
  })

  it('one that is being stopped', async () => {
    const id = await runningAgent('')
    await member.call('POST', `/api/agents/${id}/stop`)
    expect((await member.call('DELETE', `/api/agents/${id}`)).status).toBe(200)
    await isGone(id)
    await everythingEnds()
  })

  it('all of them', async () => {
    const ids = [await runningAgent(''), (await member.spawn('exit 0')).id]
    const before = socket.of('all-agents-deleted').length
    const answer = await member.call('DELETE', '/api/agents')
    expect(answer.status).toBe(200)
    expect((answer.body as { deletedCount: number }).deletedCount).toBeGreaterThanOrEqual(2)
    for (const id of ids) await isGone(id)
    await socket.until(() => socket.of('all-agents-deleted').length === before + 1, 'all-agents-deleted')
    expect((await member.call('GET', '/api/agents')).body).toEqual({ agents: [] })
    await everythingEnds()
  })
})
