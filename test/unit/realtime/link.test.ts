import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LINK_CHUNK_MAX_ENCODED_BYTES } from '../../../shared/contracts/limits.ts'
import type { LinkDown } from '../../../shared/contracts/link.ts'
import { resize, sendInput, sendSignal } from '../../../shared/domain/realtime/link-input.ts'
import { onConnect, onContainerMessage } from '../../../shared/domain/realtime/websocket-events.ts'
import { encodedLength } from '../../../shared/domain/terminal/split.ts'
import { createBench, TEAM } from './support/bench.ts'

const REF = { teamId: TEAM, id: 'agent-1' }

function benchWithAgent(fields = {}) {
  const bench = createBench()
  bench.world.addAgent({ id: 'agent-1', ...fields })
  const input = (data: string, at = bench.time.now().getTime(), id = `i-${at}`) =>
    bench.run(() => sendInput(REF, { id, at, data }, bench.deps))
  const linkFrames = () =>
    bench.gateway.frames.filter((text) => text.startsWith('{')).map((text) => JSON.parse(text) as LinkDown)
  return { ...bench, input, linkFrames }
}

describe('a container that connects', () => {
  const headers = (fields: Record<string, string>) => ({
    'x-covibes-environment': `${TEAM}/agent-1/1`,
    authorization: `Link ${'k'.repeat(43)}`,
    ...fields,
  })
  it.each([
    ['with its key', {}, 200],
    [
      'with a ticket that is not taken',
      { authorization: `Ticket ${'t'.repeat(43)}`, 'x-covibes-link-key-hash': 'a'.repeat(64) },
      403,
    ],
    ['with a ticket but no key of its own', { authorization: `Ticket ${'t'.repeat(43)}` }, 401],
    ['without a credential', { authorization: '' }, 401],
    ['as nobody', { 'x-covibes-environment': 'x' }, 401],
    ['as somebody with a strange name', { 'x-covibes-environment': `${TEAM}#/agent-1/1` }, 401],
    ['of no generation', { 'x-covibes-environment': `${TEAM}/agent-1/0` }, 401],
  ])('%s', async (_name, fields, status) => {
    const { run, deps } = benchWithAgent()
    expect(await run(() => onConnect({ connectionId: 'c', headers: headers(fields), query: {} }, deps))).toBe(status)
  })

  it('is told what to do and where its output goes on', async () => {
    const bench = benchWithAgent()
    const first = await bench.container()
    first.write('hello')
    await bench.until(() => first.acknowledged === 5, 'the acknowledgement')
    first.drop()
    await bench.until(() => first.sizes.length === 2, 'the second welcome')
    expect(bench.linkFrames().filter(({ type }) => type === 'welcome')).toEqual([
      expect.objectContaining({ acknowledged: 0, agent: { program: 'mock', name: 'Ada', task: '' } }),
      expect.objectContaining({ acknowledged: 5 }),
    ])
  })

  it('is dismissed when its record wants none', async () => {
    const bench = createBench()
    expect((await bench.container('nothing')).dismissed).toBe('the record is gone')
  })

  it('is dismissed, with the reason on its record, when it needs a model key and the team has none', async () => {
    const bench = benchWithAgent()
    const exits: unknown[] = []
    Object.assign(bench.deps, {
      orders: async () => ({ agent: { program: 'claude', name: 'Ada', task: '' }, terminal: { cols: 80, rows: 24 } }),
      recordExit: async (_ref: unknown, exit: unknown) => {
        exits.push(exit)
        return []
      },
    })
    expect((await bench.container()).dismissed).toBe('No model key is set for this team')
    expect(exits).toEqual([{ exitCode: 78, reason: 'No model key is set for this team' }])
  })

  it('replaces its earlier link, and of two generations the newer one stays', async () => {
    const bench = benchWithAgent()
    const old = await bench.container('agent-1', 1)
    old.write('old ')
    await bench.until(() => old.acknowledged === 4, 'the acknowledgement')
    const replacement = await bench.container('agent-1', 2)
    replacement.write('new')
    await bench.until(() => replacement.acknowledged === 3, 'the acknowledgement')
    await bench.until(() => old.dismissed !== undefined, 'the old one to be dismissed when it comes again')
    expect(bench.world.terminalLog.text(REF)).toBe('old new')
    await bench.input('x')
    await bench.until(() => replacement.inputs.length === 1, 'the input')
    expect(old.inputs).toEqual([])
  })
})

describe('typed input', () => {
  it('is sent with the time and order of the gateway, in pieces that fit, no character cut', async () => {
    const bench = benchWithAgent()
    const container = await bench.container()
    const paste = '\u001b[200~😀"quoted"\n'.repeat(20_000)
    expect(await bench.input(paste, 5)).toBe('sent')
    await bench.until(
      () => container.inputs.reduce((sum, { data }) => sum + data.length, 0) === paste.length,
      'the paste',
    )
    const ordered = [...container.inputs].sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1))
    expect(ordered.map(({ data }) => data).join('')).toBe(paste)
    for (const { data, at } of container.inputs) {
      expect(at).toBe(5)
      expect(data.isWellFormed()).toBe(true)
      expect(encodedLength(data)).toBeLessThanOrEqual(LINK_CHUNK_MAX_ENCODED_BYTES)
    }
  })

  it('is held while the container starts or reconnects, and goes out behind the welcome, in order', async () => {
    const bench = benchWithAgent({ status: 'starting' })
    expect(await bench.input('b', 2)).toBe('held')
    expect(await bench.input('a', 1)).toBe('held')
    const container = await bench.container()
    await bench.until(() => container.inputs.length === 2, 'the input')
    expect(container.inputs.map(({ data }) => data)).toEqual(['a', 'b'])
    expect(bench.linkFrames().map(({ type }) => type)).toEqual(['welcome', 'input', 'input'])
    container.drop()
    await bench.run(() => bench.input('c', 3).then(() => undefined)).catch(() => undefined)
    await bench.until(() => container.inputs.length === 3, 'the input after the reconnect')
  })

  it('is refused when too much is held, or when the agent has ended', async () => {
    const bench = benchWithAgent({ status: 'starting' })
    expect(await bench.input('x'.repeat(60_000), 1)).toBe('held')
    expect(await bench.input('x'.repeat(60_000), 2)).toBe('too-much')
    bench.world.addAgent({ id: 'agent-1', status: 'failed' })
    expect(await bench.input('x', 3)).toBe('ended')
  })

  it('of a previous generation is not typed into the next', async () => {
    const bench = benchWithAgent()
    const first = await bench.container('agent-1', 1)
    await bench.input('seen')
    await bench.until(() => first.inputs.length === 1, 'the input')
    first.dismissed = 'gone for good'
    first.drop()
    await bench.until(
      () => bench.world.links.links.get(`${TEAM}/agent-1`)?.connectionId === undefined,
      'the disconnect',
    )
    expect(await bench.input('for the first')).toBe('held')
    const second = await bench.container('agent-1', 2)
    await bench.input('for the second')
    await bench.until(() => second.inputs.length > 0, 'the input')
    expect(second.inputs.map(({ data }) => data)).toEqual(['for the second'])
  })

  it('is its owner’s alone, and says why when it cannot be delivered', async () => {
    const bench = benchWithAgent({ createdBy: { userId: 'user-1', userName: 'Ann' } })
    const container = await bench.container()
    const owner = await bench.joined('websocket')
    const other = await bench.joined('websocket', { token: `user-2@${TEAM}` })
    other.emit('terminal_input', { agentId: 'agent-1', data: 'x' })
    await bench.until(() => other.replies.includes('terminal_error'), 'the refusal')
    expect(bench.gateway.frames.join()).toContain('Only the owner of this agent can type into its terminal')
    owner.emit('terminal_input', { agentId: 'agent-1', data: 'ls\r' })
    await bench.until(() => container.inputs.length === 1, 'the input')
    bench.world.addAgent({ id: 'agent-1', status: 'killed' })
    container.dismissed = 'gone for good'
    container.drop()
    await bench.until(
      () => bench.world.links.links.get(`${TEAM}/agent-1`)?.connectionId === undefined,
      'the disconnect',
    )
    owner.emit('terminal_input', { agentId: 'agent-1', data: 'x' })
    await bench.until(() => owner.replies.includes('terminal_error'), 'the error')
    expect(bench.gateway.frames.join()).toContain('The agent is not running any more')
    expect(container.inputs.map(({ data }) => data)).toEqual(['ls\r'])
  })
})

describe('a resize', () => {
  it('waits for the container in its welcome', async () => {
    const bench = benchWithAgent({ status: 'starting' })
    await bench.run(() => resize(REF, { cols: 120, rows: 40, at: 1 }, bench.deps))
    expect((await bench.container()).sizes).toEqual(['120x40'])
  })

  it('ends at the newest one, however the handlers overtake each other', async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const bench = createBench(seed)
      bench.world.addAgent({ id: 'agent-1' })
      const container = await bench.container()
      const sizes = [1, 2, 3, 4].map((at) => ({ cols: 80 + at, rows: 24, at }))
      let handled = 0
      for (const size of sizes) {
        bench.gateway.invoke(async () => {
          await resize(REF, size, bench.deps)
          handled++
        })
      }
      await bench.until(() => handled === sizes.length, 'the resizes')
      await bench.time.pass(100)
      expect(container.sizes.at(-1), `seed ${seed}`).toBe('84x24')
    }
  })
})

describe('a signal', () => {
  it('needs a link', async () => {
    const bench = benchWithAgent()
    expect(await bench.run(() => sendSignal(REF, 'SIGINT', bench.deps))).toBe('not-connected')
    await bench.container()
    expect(await bench.run(() => sendSignal(REF, 'SIGINT', bench.deps))).toBe('sent')
    expect(bench.linkFrames().at(-1)).toEqual({ type: 'signal', signal: 'SIGINT' })
  })
})

describe('output', () => {
  it('is acknowledged without waiting for a slow viewer', async () => {
    const bench = benchWithAgent()
    const viewer = await bench.joined('websocket', { agents: ['agent-1'] })
    const container = await bench.container()
    const slow = [...bench.world.sessions.sessions.values()][0]?.connectionId
    const { post } = bench.deps.poster
    Object.assign(bench.deps.poster, {
      post: async (id: string, text: string) => (id === slow ? 'full' : post(id, text)),
    })
    const from = bench.time.now().getTime()
    container.write('x')
    await bench.until(() => container.acknowledged === 1, 'the acknowledgement')
    expect(bench.time.now().getTime() - from).toBeLessThan(300)
    Object.assign(bench.deps.poster, { post })
    await bench.until(() => viewer.terminals.get('agent-1') === 'x', 'the viewer')
  })

  it('is kept and shown to who joins when the task has died', async () => {
    const bench = benchWithAgent()
    const container = await bench.container()
    container.write('all there was')
    await bench.until(() => container.acknowledged === 13, 'the acknowledgement')
    container.dismissed = 'died'
    container.drop()
    bench.world.addAgent({ id: 'agent-1', status: 'failed' })
    const late = await bench.joined('polling', { token: `user-3@${TEAM}`, agents: ['agent-1'] })
    await bench.until(() => late.terminals.get('agent-1') === 'all there was', 'the history')
  })
})

describe('a link with anything on it', () => {
  it('never throws: what is not a message closes it', async () => {
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      fc
        .record({
          action: fc.constant('link'),
          type: fc.constantFrom('hello', 'output', 'health', 'exit', 'sync', 'ask-authors', 'answer'),
          state: fc.constantFrom('synced', 'x'),
          id: fc.anything(),
          part: fc.anything(),
          parts: fc.anything(),
          offset: fc.anything(),
          data: fc.anything(),
        })
        .map((message) => JSON.stringify(message) ?? ''),
    )
    await fc.assert(
      fc.asyncProperty(text, async (frame) => {
        const bench = benchWithAgent()
        const ref = { ...REF, generation: 1 }
        await bench.run(() => bench.deps.sessions.bind('c', { kind: 'link', ref }, 2 ** 40))
        const received = { at: 0, requestId: 'r' }
        await bench.run(() => onContainerMessage({ connectionId: 'c', text: frame, received }, bench.deps))
        expect(bench.world.logged.filter(({ level }) => level === 'error')).toEqual([])
      }),
    )
  })
})
