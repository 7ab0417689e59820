import { describe, expect, it } from 'vitest'
import { createBench, TEAM } from './support/bench.ts'
import { connectPacket, event, joinedSocket, rawSocket } from './support/raw-socket.ts'

const TOKEN = `user-1@${TEAM}`
const subscribe = event('agent_output_subscribe', { agentId: 'agent-1' })
const unsubscribe = event('agent_output_unsubscribe', { agentId: 'agent-1' })

function benchWithAgent() {
  const bench = createBench()
  bench.world.addAgent({ id: 'agent-1' })
  return bench
}
type Socket = Awaited<ReturnType<typeof rawSocket>>
const linesOf = (socket: Socket) =>
  socket
    .events()
    .flatMap(([name, payload]) => (name === 'agent-output' ? (payload as { lines: { line: string }[] }).lines : []))
    .map(({ line }) => line)
const namesOf = (socket: Socket) => socket.events().map(([name]) => name)

describe('agent-output', () => {
  it('is given to who has asked for it: finished lines, without escape sequences, in frames of their own', async () => {
    const bench = benchWithAgent()
    const container = await bench.container()
    const asking = await joinedSocket(bench, TOKEN)
    const other = await joinedSocket(bench, TOKEN)
    await asking.handle(subscribe)
    container.write('\x1b[32mgreen\x1b[0m\r\n50 %\r100 %\r\nhalf')
    await bench.until(() => linesOf(asking).length === 2, 'two lines')
    container.write(' and half\r\n')
    await bench.until(() => linesOf(asking).length === 3, 'the third')
    expect(linesOf(asking)).toEqual(['green', '100 %', 'half and half'])
    const [, payload] = asking.events().find(([name]) => name === 'agent-output') ?? []
    expect(payload).toEqual({
      agentId: 'agent-1',
      lines: [
        { timestamp: expect.stringMatching(/^\d{4}-.*Z$/), line: 'green' },
        { timestamp: expect.any(String), line: '100 %' },
      ],
    })
    expect(namesOf(other)).toEqual(['team-joined'])
  })

  it('begins with the oldest that is kept, also inside a long log, and cuts lines that never end', async () => {
    const bench = benchWithAgent()
    const container = await bench.container()
    const written = Array.from({ length: 3_000 }, (_, n) => `line ${n} ${'ü'.repeat(n % 50)}`)
    container.write(`${written.join('\n')}\n${'😀'.repeat(10_000)}\n`)
    await bench.until(() => container.acknowledged === container.written.length, 'the output to be stored')
    const socket = await joinedSocket(bench, TOKEN)
    await socket.handle(subscribe)
    await bench.until(() => linesOf(socket).length >= 3_003, 'all lines')
    expect(linesOf(socket).slice(0, 3_000)).toEqual(written)
    expect(
      linesOf(socket)
        .slice(3_000)
        .map((line) => line.length),
    ).toEqual([8_192, 8_192, 3_616])
    expect(linesOf(socket).slice(3_000).join('')).toBe('😀'.repeat(10_000))
    for (const frame of socket.frames) expect(Buffer.byteLength(frame)).toBeLessThan(64 * 1024)
  })

  it('ends a line where the next generation begins', async () => {
    const bench = benchWithAgent()
    const socket = await joinedSocket(bench, TOKEN)
    await socket.handle(subscribe)
    const first = await bench.container('agent-1', 1)
    first.write('last words')
    await bench.until(() => first.acknowledged === first.written.length, 'the output to be stored')
    expect(linesOf(socket)).toEqual([])
    const second = await bench.container('agent-1', 2)
    second.write('first words\n')
    await bench.until(() => linesOf(socket).length === 2, 'two lines')
    expect(linesOf(socket)).toEqual(['last words', 'first words'])
  })

  it('goes on after a reconnect, and the terminal beside it, each once', async () => {
    const bench = benchWithAgent()
    const container = await bench.container()
    const before = await joinedSocket(bench, TOKEN)
    await before.handle(subscribe)
    await before.handle(event('terminal_connect', { agentId: 'agent-1' }))
    container.write('one\ntw')
    await bench.until(() => linesOf(before).length === 1 && namesOf(before).includes('terminal_data'), 'the first line')
    const offset = before.events().at(-1)?.at(-1)
    const after = await rawSocket(bench)
    await after.handle(connectPacket({ token: TOKEN, pid: before.sid, offset }))
    container.write('o\nthree\n')
    await bench.until(() => linesOf(after).length === 2, 'the other lines')
    expect(linesOf(after)).toEqual(['two', 'three'])
    const data = after
      .events()
      .flatMap(([name, payload]) => (name === 'terminal_data' ? [(payload as { data: string }).data] : []))
    expect(data.join('')).toBe('o\nthree\n')
  })

  it('ends by unsubscribing; the terminal goes on', async () => {
    const bench = benchWithAgent()
    const container = await bench.container()
    const socket = await joinedSocket(bench, TOKEN)
    await socket.handle(event('terminal_connect', { agentId: 'agent-1' }))
    await socket.handle(subscribe)
    await socket.handle(unsubscribe)
    container.write('unheard\n')
    await bench.until(() => namesOf(socket).includes('terminal_data'), 'the terminal')
    expect(linesOf(socket)).toEqual([])
    await socket.handle(event('terminal_disconnect', { agentId: 'agent-1' }))
    const rooms = [...bench.world.sessions.rooms].filter(([, members]) => members.has(socket.sid)).map(([name]) => name)
    expect(rooms).toEqual([TEAM])
  })

  it('an older subscription that is handled after its end changes nothing', async () => {
    const bench = benchWithAgent()
    const socket = await joinedSocket(bench, TOKEN)
    await socket.handle(unsubscribe, 2_000)
    await socket.handle(subscribe, 1_999)
    expect(bench.world.sessions.sessions.get(socket.sid)?.outputs).toEqual({})
    await socket.handle(subscribe, 2_000)
    expect(bench.world.sessions.sessions.get(socket.sid)?.outputs).toHaveProperty('agent-1')
  })

  it("of another team's agent is refused", async () => {
    const bench = benchWithAgent()
    const eve = await joinedSocket(bench, 'eve@team-2')
    await eve.handle(subscribe)
    expect(eve.events().slice(1)).toEqual([['error', { message: 'Agent not found' }, expect.any(String)]])
  })
})
