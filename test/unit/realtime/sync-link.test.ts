import { describe, expect, it } from 'vitest'
import type { LinkDown } from '../../../shared/contracts/link.ts'
import { onContainerMessage } from '../../../shared/domain/realtime/websocket-events.ts'
import { createBench, TEAM } from './support/bench.ts'

const SYNC = { teamId: TEAM, id: 'sync-1' }
const RECEIVED_AT = new Date('2026-01-01T00:00:00.500Z')
const COMMIT = 'a'.repeat(40)

/** A container that says what a test has it say, whoever it is. */
async function bench(fields: Record<string, unknown> = {}) {
  const all = createBench()
  const { gateway, world, run, until, deps } = all
  world.addSync({ id: 'sync-1', ...fields })
  world.addAgent({ id: 'agent-1' })
  async function container(id: string, generation = 1) {
    const heard: LinkDown[] = []
    const state = { closed: false }
    const peer = {
      message: (text: string) => void heard.push(JSON.parse(text) as LinkDown),
      closed: () => {
        state.closed = true
      },
    }
    const headers = {
      'x-covibes-environment': `${TEAM}/${id}/${generation}`,
      authorization: `Link ${'k'.repeat(32)}`,
    }
    const connectionId = (await run(() => gateway.connect(peer, {}, headers))) ?? ''
    const say = (message: Record<string, unknown>) =>
      run(() => {
        const received = { at: RECEIVED_AT.getTime(), requestId: 'r-1' }
        return onContainerMessage(
          { connectionId, text: JSON.stringify({ action: 'link', ...message }), received },
          deps,
        )
      })
    return { heard, say, state, connectionId, hello: () => say({ type: 'hello', protocol: 1 }) }
  }
  const dropped = () =>
    world.logged.flatMap(({ message, fields: { type } }) => (message.includes('dropped') ? [type] : []))
  return { ...all, container, dropped, until }
}

describe('workspace sync that connects', () => {
  it('is told what to do, with the credential of the repository', async () => {
    const { container, world } = await bench()
    const credential = { kind: 'token', username: 'x-access-token', token: 'secret' } as const
    world.git.credential = { credential }
    const sync = await container('sync-1')
    await sync.hello()
    expect(sync.heard).toEqual([
      {
        type: 'welcome-sync',
        purpose: 'sync',
        repository: { url: 'https://git.example/team.git', credential },
        allowLoopback: true,
        previews: ['main'],
      },
    ])
    expect(world.links.links.get(`${TEAM}/sync-1`)).toMatchObject({ connectionId: sync.connectionId, generation: 1 })
  })

  it('is told of a repository that anybody may read, and of none', async () => {
    const { container, deps } = await bench()
    const one = await container('sync-1')
    await one.hello()
    expect(one.heard).toMatchObject([{ repository: { url: 'https://git.example/team.git' } }])
    Object.assign(deps, { orders: async () => ({ sync: { purpose: 'sync' } }) })
    const other = await container('sync-1')
    await other.hello()
    expect(other.heard).toEqual([{ type: 'welcome-sync', purpose: 'sync', allowLoopback: true }])
    expect(one.state.closed).toBe(true)
  })

  it('gets no credential when it is to erase', async () => {
    const { container, world } = await bench({ sync: { purpose: 'erase' } })
    world.git.credential = { credential: { kind: 'token', username: 'x', token: 'secret' } }
    const sync = await container('sync-1')
    await sync.hello()
    expect(sync.heard).toMatchObject([{ type: 'welcome-sync', purpose: 'erase' }])
    expect(JSON.stringify(sync.heard)).not.toContain('secret')
  })

  it('is sent away when the credential cannot be used, and the team is told', async () => {
    const { container, world, deps } = await bench()
    const exits: unknown[] = []
    Object.assign(deps, { recordExit: async (_ref: unknown, exit: unknown) => exits.splice(0, 9, exit) })
    const unusable = "The team's git credentials cannot be used: the secret must be JSON"
    world.git.credential = { unusable }
    const sync = await container('sync-1')
    await sync.hello()
    expect(sync.heard).toEqual([{ type: 'dismissed', reason: unusable }])
    expect(world.reports).toMatchObject([{ ref: SYNC, report: { state: 'failed', detail: unusable } }])
    expect(exits).toEqual([{ exitCode: 78, reason: unusable }])
  })

  it('closes its link when the secret cannot be had, so that it tries again', async () => {
    const { container, deps, world } = await bench()
    Object.assign(deps, { gitCredential: () => Promise.reject(new Error('Secrets Manager is away')) })
    const sync = await container('sync-1')
    await expect(sync.hello()).rejects.toThrow('away')
    expect(sync.state.closed).toBe(true)
    expect(world.reports).toEqual([])
  })

  it('is dismissed when a newer one has taken over', async () => {
    const { container } = await bench()
    const newer = await container('sync-1', 2)
    await newer.hello()
    const older = await container('sync-1', 1)
    await older.hello()
    expect(older.heard).toEqual([{ type: 'dismissed', reason: 'a newer container has taken over' }])
    expect(newer.state.closed).toBe(false)
  })
})

describe('what only workspace sync says', () => {
  it('is kept: how the repository stands', async () => {
    const { container, world } = await bench()
    const sync = await container('sync-1')
    await sync.hello()
    await sync.say({ type: 'sync', state: 'synced', branch: 'main', commit: COMMIT })
    expect(world.reports).toEqual([
      {
        ref: { ...SYNC, generation: 1 },
        report: { state: 'synced', branch: 'main', commit: COMMIT },
        at: RECEIVED_AT,
      },
    ])
  })

  it('is answered: who has worked in the workspace', async () => {
    const { container } = await bench()
    const sync = await container('sync-1')
    await sync.hello()
    await sync.say({ type: 'ask-authors', id: 'q-1', since: '2026-01-01T00:00:00.000Z' })
    expect(sync.heard.at(-1)).toEqual({
      type: 'authors',
      id: 'q-1',
      authors: [{ name: 'Ada', email: 'ada@agents.covibes.invalid' }],
    })
  })

  it('is kept for whoever asked: an answer of the files API; no other is', async () => {
    const { container, world } = await bench()
    world.asked.add('sync-1/r-1')
    const sync = await container('sync-1')
    await sync.hello()
    const part = { id: 'r-1', part: 0, parts: 1, data: '{}' }
    await sync.say({ type: 'answer', ...part })
    await sync.say({ type: 'answer', ...part, id: 'r-2' })
    const packed = { ...part, encoding: 'gzip' }
    await sync.say({ type: 'answer', ...packed })
    expect(world.answers.map(({ id, part: kept }) => [id, kept])).toEqual([
      ['sync-1', part],
      ['sync-1', packed],
    ])
    expect(sync.state.closed).toBe(false)
  })

  it.each([
    { type: 'sync', state: 'synced' },
    { type: 'ask-authors', id: 'q', since: '2026-01-01T00:00:00.000Z' },
    { type: 'answer', id: 'r-1', part: 0, parts: 1, data: '{}' },
  ])('is nothing that an agent may say: $type', async (message) => {
    const { container, world, dropped } = await bench()
    world.asked.add('agent-1/r-1').add('sync-1/r-1')
    const agent = await container('agent-1')
    // Before its welcome as well as after.
    await agent.say(message)
    await agent.hello()
    await agent.say(message)
    expect(dropped()).toEqual([message.type, message.type])
    expect(agent.heard.map(({ type }) => type)).toEqual(['welcome'])
    expect([...world.reports, ...world.answers]).toEqual([])
  })

  it('is not output: sync has no terminal', async () => {
    const { container, world, dropped } = await bench()
    const sync = await container('sync-1')
    await sync.say({ type: 'output', offset: 0, data: 'x' })
    await sync.hello()
    await sync.say({ type: 'output', offset: 0, data: 'x' })
    expect(dropped()).toEqual(['output', 'output'])
    expect(world.terminalLog.text(SYNC)).toBe('')
    const agent = await container('agent-1')
    await agent.hello()
    await agent.say({ type: 'output', offset: 0, data: 'x' })
    expect(world.terminalLog.text({ teamId: TEAM, id: 'agent-1' })).toBe('x')
  })
})
