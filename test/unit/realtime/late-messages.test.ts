import { describe, expect, it } from 'vitest'
import { endSession } from '../../../shared/domain/realtime/change-session.ts'
import { answerPost } from '../../../shared/domain/realtime/polling-http.ts'
import { onClientMessage, onContainerMessage } from '../../../shared/domain/realtime/websocket-events.ts'
import { createBench, TEAM } from './support/bench.ts'

function benchWithAgent() {
  const bench = createBench()
  bench.world.addAgent({ id: 'agent-1' })
  return bench
}

describe('what the gateway received before a connection ended', () => {
  it('is still handled when the end is handled first: typed input, over either transport', async () => {
    for (const mode of ['polling', 'websocket'] as const) {
      const bench = benchWithAgent()
      const container = await bench.container()
      const client = await bench.joined(mode, { agents: ['agent-1'] })
      const [session] = [...bench.world.sessions.sessions.values()]
      if (!session) throw new Error('no session')
      const at = bench.time.now().getTime()
      client.stop()
      await bench.run(() => endSession(session.sid, bench.deps))
      const text = `42${JSON.stringify(['terminal_input', { agentId: 'agent-1', data: 'last words\r' }])}`
      const handle = (when: number) =>
        bench.run<unknown>(() => {
          const received = { at: when, requestId: `r${when}` }
          if (mode === 'websocket') {
            return onClientMessage({ connectionId: session.connectionId ?? '', text, received }, bench.deps)
          }
          return answerPost({ EIO: '4', transport: 'polling', sid: session.sid }, () => text, received, bench.deps)
        })
      await handle(at)
      await bench.until(() => container.inputs.length === 1, 'the input')
      await handle(bench.time.now().getTime() + 1)
      await bench.time.pass(500)
      expect(container.inputs.map(({ data }) => data)).toEqual(['last words\r'])
    }
  })

  it('is still handled when the end is handled first: a container’s exit', async () => {
    const bench = benchWithAgent()
    const exits: unknown[] = []
    const recordExit = async (_ref: unknown, exit: unknown) => {
      exits.push(exit)
      return []
    }
    Object.assign(bench.deps, { recordExit })
    const container = await bench.container()
    const connectionId = bench.world.links.links.get(`${TEAM}/agent-1`)?.connectionId ?? ''
    container.dismissed = 'ended'
    container.drop()
    await bench.until(
      () => bench.world.links.links.get(`${TEAM}/agent-1`)?.connectionId === undefined,
      'the disconnect',
    )
    const text = JSON.stringify({ action: 'link', type: 'exit', exitCode: 3 })
    const received = { at: bench.time.now().getTime(), requestId: 'r' }
    await bench.run(() => onContainerMessage({ connectionId, text, received }, bench.deps))
    expect(exits).toEqual([{ exitCode: 3 }])
  })
})
