import { expect, it } from 'vitest'
import { createBench, TEAM } from './support/bench.ts'
import { connectPacket, rawSocket } from './support/raw-socket.ts'

const SECOND = 1_000
const TOKEN = `user-1@${TEAM}`
const peerOf = () => {
  const peer = {
    frames: [] as string[],
    isClosed: false,
    message: (text: string) => void peer.frames.push(text),
    closed: () => {},
  }
  peer.closed = () => {
    peer.isClosed = true
  }
  return peer
}

it('a WebSocket without CONNECT is closed after ten seconds, and not before', async () => {
  const bench = createBench()
  const silent = await rawSocket(bench)
  const member = await rawSocket(bench)
  await member.handle(connectPacket({ token: TOKEN }))
  await bench.time.pass(9 * SECOND)
  expect(silent.isClosed()).toBe(false)
  await bench.until(() => silent.isClosed(), 'the silent one to be closed')
  await bench.time.pass(10 * SECOND)
  expect(member.isClosed()).toBe(false)
  expect(bench.world.sessions.sessions.get(silent.sid)?.endedAt).toBeDefined()
})

it('one that was refused is closed, too', async () => {
  const bench = createBench()
  const refused = await rawSocket(bench)
  await refused.handle(connectPacket({ token: 'bad' }))
  await bench.until(() => refused.isClosed(), 'the refused one to be closed')
  expect(refused.frames).toEqual(['44{"message":"Authentication failed"}'])
})

it('a polling session without CONNECT ends: its poll and all that follow are answered 400', async () => {
  const bench = createBench()
  const query = { EIO: '4', transport: 'polling' }
  const opened = await bench.run(() => bench.gateway.http('GET', query))
  const { sid } = JSON.parse(String(opened?.body).slice(1)) as { sid: string }
  const held = await bench.run(() => bench.gateway.http('GET', { ...query, sid }))
  expect(held).toEqual({ status: 400, body: { code: 1, message: 'Session ID unknown' } })
  expect(bench.time.now().getTime() - (bench.world.sessions.sessions.get(sid)?.createdAt ?? 0)).toBeLessThan(
    12 * SECOND,
  )
  expect(await bench.run(() => bench.gateway.http('POST', { ...query, sid }, '40'))).toMatchObject({ status: 400 })
})

it('a probe that never becomes an upgrade is closed, and its session goes on polling', async () => {
  const bench = createBench()
  const client = await bench.joined('polling')
  const [sid = ''] = bench.world.sessions.sessions.keys()
  const probe = peerOf()
  await bench.run(() => bench.gateway.connect(probe, { EIO: '4', transport: 'websocket', sid }))
  await bench.until(() => probe.isClosed, 'the probe to be closed')
  await bench.run(() => bench.world.tell(TEAM, 'still here'))
  await bench.until(() => client.messages.includes('still here'), 'the client to be told')
  expect(client.connects).toBe(1)
})

it('an upgraded client is left alone', async () => {
  const bench = createBench()
  const client = await bench.joined('upgrade')
  await bench.time.pass(30 * SECOND)
  expect(client.connects).toBe(1)
  expect(bench.world.work.filter(({ kind }) => kind === 'close-unauthenticated')).toHaveLength(2)
})
