/** What is not asked of the stores, and what still arrives. */
import { expect, it, vi } from 'vitest'
import { onClientMessage } from '../../../shared/domain/realtime/websocket-events.ts'
import { createBench } from './support/bench.ts'

it('a pong asks nothing of any store', async () => {
  const { deps, run } = createBench()
  const connection = vi.spyOn(deps.sessions, 'connection')
  const message = (text: string) => ({ connectionId: 'c', text, received: { at: 0, requestId: 'r' } })
  await run(() => onClientMessage(message('3'), deps))
  expect(connection).not.toHaveBeenCalled()
  await run(() => onClientMessage(message('3x'), deps))
  expect(connection).toHaveBeenCalledOnce()
})

it('output goes to viewers who have all before it without a read of the log, and to others with one', async () => {
  const bench = createBench()
  bench.world.addAgent({ id: 'agent-1' })
  const container = await bench.container()
  const viewers = [
    await bench.joined('websocket', { agents: ['agent-1'] }),
    await bench.joined('websocket', { agents: ['agent-1'] }),
  ]
  const terminalOf = (n: number): string => viewers[n]?.terminals.get('agent-1') ?? ''
  container.write('first ')
  await bench.until(() => terminalOf(0) === 'first ' && terminalOf(1) === 'first ', 'the first output')
  await bench.until(() => leases() === 0, 'the leases to be given back')

  const read = vi.spyOn(bench.deps.terminalLog, 'readFrom')
  container.write('second ')
  await bench.until(() => terminalOf(0).endsWith('second ') && terminalOf(1).endsWith('second '), 'the second output')
  await bench.until(() => leases() === 0, 'the leases to be given back')
  expect(read).not.toHaveBeenCalled()

  // One whose deliverer died is behind: what it has missed is read.
  const [behind] = [...bench.world.sessions.sessions.values()]
  if (!behind) throw new Error('no session')
  const place = behind.terminals['agent-1']
  if (!place) throw new Error('not subscribed')
  await bench.run(async () => {
    const now = await bench.deps.sessions.get(behind.sid)
    if (!now) throw new Error('no session')
    await bench.deps.sessions.put({ ...now, terminals: { 'agent-1': { ...place, position: 6 } } })
  })
  container.write('third')
  await bench.until(
    () => viewers.every((viewer) => viewer.terminals.get('agent-1')?.endsWith('third')),
    'the third output',
  )
  expect(read).toHaveBeenCalledOnce()
  expect([terminalOf(0), terminalOf(1)].sort()).toEqual(['first second second third', 'first second third'].sort())

  function leases(): number {
    return [...bench.world.sessions.sessions.values()].filter(({ lease }) => lease).length
  }
})
