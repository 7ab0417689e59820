/** Socket.IO 5 packets: CONNECT, events, DISCONNECT. */
import type { Packet } from 'socket.io-parser'
import { REPLIES_ONLY } from './batch.ts'
import { changeAndReply, changeSession, leaveRooms } from './change-session.ts'
import { connect } from './connect.ts'
import { deliver } from './deliver.ts'
import { onEvent } from './events.ts'
import { MAX_EARLY_PACKETS } from './limits.ts'
import { connectErrorPacket, decodeSocketPacket, MalformedPacket, PacketType } from './packets.ts'
import type { Received, SocketDeps } from './ports.ts'
import { isLive, type Session, wasLiveAt } from './session.ts'

/** @throws MalformedPacket */
export async function onSocketPacket(sid: string, text: string, received: Received, deps: SocketDeps): Promise<void> {
  const packet = decodeSocketPacket(text)
  if (packet.nsp !== '/') return onOtherNamespace(sid, packet, deps)
  switch (packet.type) {
    case PacketType.CONNECT: {
      const early = await connect(sid, packet.data, deps)
      for (const { packet: waiting, ...when } of early) await onSocketPacket(sid, waiting, when, deps)
      return
    }
    case PacketType.EVENT: {
      const session = await connectedSession(sid, text, received, deps)
      if (session) await onEvent(session, packet.data, received, deps)
      return
    }
    case PacketType.DISCONNECT:
      return disconnect(sid, deps)
    case PacketType.ACK:
      return
    default:
      throw new MalformedPacket('not a packet that clients send')
  }
}

/** We serve the default namespace alone; a refusal concerns that namespace only. */
async function onOtherNamespace(sid: string, packet: Packet, deps: SocketDeps): Promise<void> {
  if (packet.type !== PacketType.CONNECT) return
  const refusal = { packet: connectErrorPacket(packet.nsp.slice(0, 200), 'Invalid namespace') }
  await changeAndReply(sid, (session) => ({ session, replies: [refusal] }), deps)
  await deliver(sid, REPLIES_ONLY, deps)
}

/**
 * The session if its CONNECT has been handled, also when it has ended since the gateway received the event. Otherwise the event is kept on the session, and CONNECT's handler takes it up:
 * handlers of one connection run side by side, and the compare-and-set decides which of the two has it.
 */
async function connectedSession(
  sid: string,
  text: string,
  received: Received,
  deps: SocketDeps,
): Promise<Session | undefined> {
  let overflow = false
  const session = await changeSession(
    sid,
    (current) => {
      overflow = false
      if (!isLive(current) || current.user) return current
      const early = [...current.early, { ...received, packet: text }]
      const chars = early.reduce((sum, { packet }) => sum + packet.length, 0)
      overflow = early.length > MAX_EARLY_PACKETS.count || chars > MAX_EARLY_PACKETS.chars
      return overflow ? current : { ...current, early }
    },
    deps,
  )
  if (overflow) throw new MalformedPacket('too many events before CONNECT')
  return session?.user && wasLiveAt(session, received.at) ? session : undefined
}

/** The client leaves for good: nothing is kept for a resume. The transport closes by itself. */
async function disconnect(sid: string, deps: SocketDeps): Promise<void> {
  let before: Session | undefined
  await changeSession(
    sid,
    (session) => {
      before = isLive(session) && session.user ? session : undefined
      if (!before) return session
      const { user: _user, team: _team, ...rest } = session
      return { ...rest, terminals: {}, outputs: {} }
    },
    deps,
  )
  if (before) await leaveRooms(before, deps)
}
