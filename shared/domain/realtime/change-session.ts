/** The session's compare-and-set, and the ways in which a session ends. */
import { Unavailable } from '../errors.ts'
import { MAX_CAS_TRIES } from './limits.ts'
import type { DeliveryDeps, Room } from './ports.ts'
import { ended, isLive, type NewReply, type Session, watchedAgents, withReplies } from './session.ts'

export type ChangeDeps = Pick<DeliveryDeps, 'sessions' | 'sleep'>

/**
 * Applies `decide` to the session as it stands, again when somebody else was first. `decide` answers the same object to leave
 * it. Answers the session afterwards, undefined when there is none. @throws Unavailable after too many lost races
 */
export async function changeSession(
  sid: string,
  decide: (session: Session) => Session,
  { sessions, sleep }: ChangeDeps,
): Promise<Session | undefined> {
  for (let tries = 1; tries <= MAX_CAS_TRIES; tries++) {
    const session = await sessions.get(sid)
    if (!session) return undefined
    const next = decide(session)
    if (next === session) return session
    if (await sessions.put(next)) return { ...next, revision: next.revision + 1 }
    await sleep(Math.random() * Math.min(5 * tries, 50))
  }
  throw new Unavailable('a session is being changed by too many at once')
}

/** The rooms in which a session is found. */
export function roomsOf(session: Session): Room[] {
  const { user, team } = session
  if (!user) return []
  const { teamId } = user
  const watched = watchedAgents(session).map((agentId): Room => ({ kind: 'terminal', teamId, agentId }))
  return team ? [{ kind: 'team', teamId }, ...watched] : watched
}

/** Takes the session out of its rooms. What its connection is stays known: messages may still be under way to a handler. */
export async function leaveRooms(session: Session, { sessions }: Pick<DeliveryDeps, 'sessions'>): Promise<void> {
  await Promise.all(roomsOf(session).map((room) => sessions.leave(room, session.sid)))
}

/**
 * Ends the session's transport (it stays resumable). With `connectionId` only if that is its connection: a disconnect of an
 * abandoned probe, or of a connection that has been replaced, ends nothing.
 */
export async function endSession(
  sid: string,
  deps: ChangeDeps & Pick<DeliveryDeps, 'clock'>,
  only: { connectionId?: string } = {},
): Promise<void> {
  let before: Session | undefined
  await changeSession(
    sid,
    (session) => {
      before = undefined
      if (!isLive(session)) return session
      if (only.connectionId !== undefined && session.connectionId !== only.connectionId) {
        const { probe, ...rest } = session
        return probe?.connectionId === only.connectionId ? rest : session
      }
      before = session
      return ended(session, deps.clock.now().getTime())
    },
    deps,
  )
  if (before) await leaveRooms(before, deps)
}

/**
 * Breaks the transport of a client that may have missed something, or misbehaves: it reconnects and resumes by its offset.
 * A polling client learns it by its next request (400).
 */
export async function abandonSession(session: Session, why: string, deps: DeliveryDeps): Promise<void> {
  deps.log.warn('Closing a client connection', { sid: logName(session.sid), why })
  if (session.connectionId !== undefined) await deps.poster.close(session.connectionId)
  await endSession(session.sid, deps)
}

/** A session id is a credential: logs show enough of it to tell two apart. */
export const logName = (sid: string): string => `${sid.slice(0, 6)}…`

/**
 * Says something to this client alone, together with `decide`'s change in one write; `deliver` posts it. A client that leaves
 * too much unread is cut off. Undefined: the session is over.
 */
export async function changeAndReply(
  sid: string,
  decide: (session: Session) => { session: Session; replies: readonly NewReply[] },
  deps: DeliveryDeps,
): Promise<Session | undefined> {
  let overflow = false
  let live = false
  const session = await changeSession(
    sid,
    (current) => {
      live = isLive(current)
      overflow = false
      if (!live) return current
      const { session: next, replies } = decide(current)
      if (replies.length === 0) return next
      const replied = withReplies(next, replies)
      overflow = replied === undefined
      return replied ?? current
    },
    deps,
  )
  if (session && overflow) await abandonSession(session, 'too many unread replies', deps)
  return live && !overflow ? session : undefined
}
