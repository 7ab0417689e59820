/** Engine.IO 4: opening a session over either transport, the upgrade between them, and what arrives over them. */
import { AUTHENTICATION_SECONDS, CONNECTION_TTL_HOURS } from '../../contracts/limits.ts'
import { EVERYTHING } from './batch.ts'
import { abandonSession, changeSession, endSession, logName } from './change-session.ts'
import { deliver } from './deliver.ts'
import { OPEN_WAITS_MS, PROBE_MS } from './limits.ts'
import { MalformedPacket, openPacket, PROBE_ANSWER, payloadOf, type TextPacket } from './packets.ts'
import type { DeliveryDeps, Received, SocketDeps } from './ports.ts'
import { ended, isLive, newSession, type Session } from './session.ts'
import { onSocketPacket } from './socket-packets.ts'

/** Characters of the tag that marks a session's offsets. */
const TAG_CHARS = 6

type OpenDeps = Pick<DeliveryDeps, 'sessions' | 'clock' | 'newId' | 'work'>

/** Opens a session by HTTP; the answer's body. */
export async function openPolling(deps: OpenDeps): Promise<string> {
  const session = await createSession({ transport: 'polling' }, deps)
  await deps.work.send({ kind: 'close-unauthenticated', sid: session.sid }, AUTHENTICATION_SECONDS)
  return payloadOf([openPacket(session.sid, ['websocket'])])
}

async function createSession(
  how: { transport: 'polling' } | { transport: 'websocket'; connectionId: string },
  { sessions, clock, newId }: Pick<DeliveryDeps, 'sessions' | 'clock' | 'newId'>,
): Promise<Session> {
  const session = newSession({
    sid: newId(),
    tag: newId().slice(0, TAG_CHARS),
    now: clock.now().getTime(),
    ...how,
  })
  await sessions.create(session)
  return session
}

/**
 * `$connect` of a client: with a session id it is a probe of that session's upgrade, without one a new session, whose open
 * packet follows as a queued message because nothing can be posted before $connect has been answered. False: refuse it.
 */
export async function connectWebSocket(
  connectionId: string,
  query: { EIO?: string | undefined; transport?: string | undefined; sid?: string | undefined },
  deps: OpenDeps,
): Promise<boolean> {
  if (query.EIO !== '4' || query.transport !== 'websocket') return false
  const expiresAt = Math.ceil(deps.clock.now().getTime() / 1000) + CONNECTION_TTL_HOURS * 3600
  if (query.sid !== undefined) {
    const session = await deps.sessions.get(query.sid)
    if (!isLive(session) || session.transport !== 'polling') return false
    await deps.sessions.bind(connectionId, { kind: 'socket', sid: session.sid }, expiresAt)
    await deps.work.send({ kind: 'close-unauthenticated', sid: session.sid, connectionId }, AUTHENTICATION_SECONDS)
    return true
  }
  const { sid } = await createSession({ transport: 'websocket', connectionId }, deps)
  await deps.sessions.bind(connectionId, { kind: 'socket', sid }, expiresAt)
  await Promise.all([
    deps.work.send({ kind: 'open-socket', connectionId, sid }),
    deps.work.send({ kind: 'close-unauthenticated', sid, connectionId }, AUTHENTICATION_SECONDS),
  ])
  return true
}

/**
 * The time is over in which a connection has to become somebody's: a session without a member ends, and a WebSocket that does
 * not carry its session by now (the probe of an upgrade that was never completed) is closed. A client that was only slow
 * connects anew.
 */
export async function closeUnauthenticated(
  { sid, connectionId }: { sid: string; connectionId?: string | undefined },
  deps: DeliveryDeps,
): Promise<void> {
  let isAnonymous = false
  const session = await changeSession(
    sid,
    (current) => {
      isAnonymous = isLive(current) && !current.user
      return isAnonymous ? ended(current, deps.clock.now().getTime()) : current
    },
    deps,
  )
  if (isAnonymous) deps.log.info('Closing a connection that nobody has authenticated', { sid: logName(sid) })
  const isCarrier = isLive(session) && session.connectionId === connectionId
  if (connectionId !== undefined && !isCarrier) await deps.poster.close(connectionId)
}

/** The queued open packet: posted once, as soon as the gateway takes it. */
export async function openSocket(
  { connectionId, sid }: { connectionId: string; sid: string },
  deps: DeliveryDeps,
): Promise<void> {
  let isMine = false
  await changeSession(
    sid,
    (session) => {
      isMine = isLive(session) && session.connectionId === connectionId && !session.opened
      // A queue delivers at least once, and a second open packet would start the client anew.
      return isMine ? { ...session, opened: true } : session
    },
    deps,
  )
  if (!isMine) return
  for (const pause of [...OPEN_WAITS_MS, undefined]) {
    const outcome = await deps.poster.post(connectionId, openPacket(sid, []))
    if (outcome === 'sent') return
    if (outcome === 'unclear' || pause === undefined) break
    await deps.sleep(pause)
  }
  await deps.poster.close(connectionId)
  await endSession(sid, deps, { connectionId })
}

/** One text frame of a client's WebSocket. @throws MalformedPacket */
export async function onSocketFrame(
  { sid, connectionId }: { sid: string; connectionId: string },
  packet: TextPacket,
  received: Received,
  deps: SocketDeps,
): Promise<void> {
  if (packet.type === 'ping') return answerProbe(sid, connectionId, packet, deps)
  if (packet.type === 'upgrade') return upgrade(sid, connectionId, deps)
  if (packet.type === 'close') {
    await deps.poster.close(connectionId)
    return endSession(sid, deps, { connectionId })
  }
  return onPacket(sid, packet, received, deps)
}

/** One packet of a polling POST. @throws MalformedPacket */
export async function onPolledPacket(
  sid: string,
  packet: TextPacket,
  received: Received,
  deps: SocketDeps,
): Promise<void> {
  if (packet.type === 'close') return endSession(sid, deps)
  if (packet.type === 'ping' || packet.type === 'upgrade') throw new MalformedPacket(`${packet.type} over polling`)
  return onPacket(sid, packet, received, deps)
}

/** Packets that mean the same over either transport. */
async function onPacket(sid: string, packet: TextPacket, received: Received, deps: SocketDeps): Promise<void> {
  if (packet.type === 'message') return onSocketPacket(sid, packet.data, received, deps)
  // A pong needs no answer, and API Gateway tells of connections that have ended.
  if (packet.type === 'pong' || packet.type === 'noop') return
  throw new MalformedPacket(`unexpected ${packet.type} packet`)
}

/** Polls end early from now on, so that the client can pause polling and send its `upgrade`. */
async function answerProbe(sid: string, connectionId: string, { data }: TextPacket, deps: SocketDeps): Promise<void> {
  if (data !== 'probe') throw new MalformedPacket('a ping that is no probe')
  const until = deps.clock.now().getTime() + PROBE_MS
  const session = await changeSession(
    sid,
    (current) =>
      isLive(current) && current.transport === 'polling' ? { ...current, probe: { connectionId, until } } : current,
    deps,
  )
  if (session?.probe?.connectionId !== connectionId) return deps.poster.close(connectionId)
  const outcome = await deps.poster.post(connectionId, PROBE_ANSWER)
  if (outcome !== 'sent') await deps.poster.close(connectionId)
}

/**
 * The client has ended its last poll before it says this, so whatever the cursors have passed has reached it, and what they
 * have not passed follows here.
 */
async function upgrade(sid: string, connectionId: string, deps: SocketDeps): Promise<void> {
  const session = await changeSession(
    sid,
    (current) => {
      if (!isLive(current) || current.transport !== 'polling') return current
      const { probe: _probe, poll: _poll, ...rest } = current
      return { ...rest, transport: 'websocket', connectionId, wake: false }
    },
    deps,
  )
  if (!isLive(session) || session.connectionId !== connectionId) return deps.poster.close(connectionId)
  await deliver(sid, EVERYTHING, deps)
}

/** A client that sent something that is not of these protocols. */
export async function rejectClient(sid: string, why: string, deps: DeliveryDeps): Promise<void> {
  const session = await deps.sessions.get(sid)
  if (isLive(session)) await abandonSession(session, why, deps)
}
