/** A client's WebSocket spoken by hand. */
import { onClientMessage } from '../../../../shared/domain/realtime/websocket-events.ts'
import type { Bench } from './bench.ts'

/** A WebSocket that a test speaks over by hand; `frames` is what came back. */
export async function rawSocket(bench: Bench) {
  const frames: string[] = []
  let closed = false
  const peer = {
    message: (text: string) => void frames.push(text),
    closed: () => {
      closed = true
    },
  }
  const id = await bench.run(() => bench.gateway.connect(peer, { EIO: '4', transport: 'websocket' }))
  await bench.until(() => frames.length === 1, 'the open packet')
  const { sid } = JSON.parse(frames.shift()?.slice(1) ?? '') as { sid: string }
  return {
    sid,
    frames,
    isClosed: () => closed,
    events: () => frames.filter((text) => text.startsWith('42')).map((text) => JSON.parse(text.slice(2)) as unknown[]),
    /** Handled now; `at` is when the gateway says it came. */
    handle: (text: string, at = bench.time.now().getTime()) =>
      bench.run(() =>
        onClientMessage({ connectionId: id ?? '', text, received: { at, requestId: `r-${at}` } }, bench.deps),
      ),
  }
}
export const connectPacket = (auth: Record<string, unknown>) => `40${JSON.stringify(auth)}`
export const event = (...args: unknown[]) => `42${JSON.stringify(args)}`

/** One that has joined the team of its token. */
export async function joinedSocket(bench: Bench, token: string) {
  const socket = await rawSocket(bench)
  await socket.handle(connectPacket({ token }))
  await socket.handle(event('join-team', token.split('@')[1]))
  return socket
}
