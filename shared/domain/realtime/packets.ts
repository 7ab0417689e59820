/** Engine.IO 4 and Socket.IO 5 packets as text. Binary is not spoken: API Gateway's WebSocket APIs carry text only. */
import { decodePacket, decodePayload, type Packet as EnginePacket } from 'engine.io-parser'
import { Decoder, Encoder, type Packet, PacketType } from 'socket.io-parser'
import { ENGINE_MAX_PAYLOAD_BYTES, ENGINE_PING_INTERVAL_MS, ENGINE_PING_TIMEOUT_MS } from '../../contracts/limits.ts'

export { PacketType }

/** What was received cannot be a packet of these protocols: the connection it came over is closed. */
export class MalformedPacket extends Error {
  constructor(why: string) {
    super(why)
    this.name = 'MalformedPacket'
  }
}

export const PING = '2'
/** A client's answer to a ping. */
export const PONG = '3'
export const PROBE_ANSWER = '3probe'
export const NOOP = '6'
/** Engine.IO `message`, whose data is a Socket.IO packet. */
const MESSAGE = '4'
/** U+001E separates packets in a polling payload. */
const SEPARATOR = '\x1e'

/** Packets in one polling POST; the client's buffer is hardly ever longer than a burst of typing. */
const MAX_PACKETS = 1_000

export const openPacket = (sid: string, upgrades: readonly 'websocket'[]): string =>
  `0${JSON.stringify({
    sid,
    upgrades,
    pingInterval: ENGINE_PING_INTERVAL_MS,
    pingTimeout: ENGINE_PING_TIMEOUT_MS,
    maxPayload: ENGINE_MAX_PAYLOAD_BYTES,
  })}`

export const payloadOf = (packets: readonly string[]): string => packets.join(SEPARATOR)

/** An Engine.IO packet whose data, if any, is text. */
export interface TextPacket {
  readonly type: Exclude<EnginePacket['type'], 'error'>
  readonly data: string
}

function textPacket({ type, data }: EnginePacket): TextPacket {
  if (type === 'error') throw new MalformedPacket('not an Engine.IO packet')
  if (data !== undefined && typeof data !== 'string') throw new MalformedPacket('binary packets are not supported')
  return { type, data: data ?? '' }
}

/** @throws MalformedPacket */
export const decodeFrame = (text: string): TextPacket => textPacket(decodePacket(text, 'nodebuffer'))

/** @throws MalformedPacket */
export function decodeBody(text: string): TextPacket[] {
  if (text.split(SEPARATOR, MAX_PACKETS + 1).length > MAX_PACKETS) throw new MalformedPacket('too many packets')
  return decodePayload(text, 'nodebuffer').map(textPacket)
}

/** @throws MalformedPacket */
export function decodeSocketPacket(text: string): Packet {
  let decoded: Packet | undefined
  const decoder = new Decoder()
  decoder.on('decoded', (packet: Packet) => {
    decoded = packet
  })
  try {
    decoder.add(text)
  } catch (error) {
    throw new MalformedPacket(error instanceof Error ? error.message : String(error))
  }
  if (!decoded) throw new MalformedPacket('packets with attachments are not supported')
  return decoded
}

const encoder = new Encoder()
/** A Socket.IO packet inside an Engine.IO message. */
function encode(packet: Packet): string {
  const [text] = encoder.encode(packet)
  return MESSAGE + text
}

/** `pid`, by which the client resumes, is the Engine.IO session's id; the Socket.IO id `sid` may be shown to others. */
export const connectPacket = (sid: string, pid: string): string =>
  encode({ type: PacketType.CONNECT, nsp: '/', data: { sid, pid } })

export const connectErrorPacket = (nsp: string, message: string): string =>
  encode({ type: PacketType.CONNECT_ERROR, nsp, data: { message } })

/** The offset goes last, as connection state recovery wants it. */
export const eventPacket = (event: readonly [string, unknown], offset: string): string =>
  encode({ type: PacketType.EVENT, nsp: '/', data: [...event, offset] })
