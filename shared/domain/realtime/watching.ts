/** Following an agent's output, as bytes or as lines: one row in the terminal's room for both. */
import type { Environment } from '../environments/schema.ts'
import { EVERYTHING } from './batch.ts'
import { changeAndReply, changeSession } from './change-session.ts'
import { deliver } from './deliver.ts'
import type { Room, SocketDeps } from './ports.ts'
import { enterRoom } from './rooms.ts'
import {
  type ConnectedSession,
  isLive,
  type NewReply,
  type Session,
  subscribed,
  unsubscribed,
  type Watch,
  watchedAgents,
} from './session.ts'

const roomOf = ({ user }: ConnectedSession, agentId: string): Room => ({
  kind: 'terminal',
  teamId: user.teamId,
  agentId,
})

/** The agent if it is one of the session's team that its list would show. */
export async function findAgent(
  session: ConnectedSession,
  agentId: string,
  deps: Pick<SocketDeps, 'environments'>,
): Promise<Environment | undefined> {
  const record = await deps.environments.get({ teamId: session.user.teamId, id: agentId })
  return record && record.type === 'agent' && record.deletedAt === undefined ? record : undefined
}

export const isOwnerOf = (session: ConnectedSession, record: Environment): boolean =>
  record.createdBy.userId === session.user.userId

const watches = (session: Session, agentId: string): boolean => watchedAgents(session).includes(agentId)

/**
 * Begins with the oldest output that is kept, anew if it is followed already. The room is entered before the subscription is
 * written, so no output falls between the two, and again after it, because an end handled at the same time may have taken the
 * row away in between.
 */
export async function beginWatching(
  session: ConnectedSession,
  agentId: string,
  how: { watch: Watch; at: number; isOwner: boolean; replies: readonly NewReply[] },
  deps: SocketDeps,
): Promise<void> {
  const { watch, at, isOwner, replies } = how
  const room = roomOf(session, agentId)
  await enterRoom(room, session.sid, deps)
  let evicted: string[] = []
  const changed = await changeAndReply(
    session.sid,
    (current) => {
      const next = subscribed(current, agentId, { at, isOwner, position: 0, watch })
      evicted = next ? watchedAgents(current).filter((id) => !watches(next, id)) : []
      return next ? { session: next, replies } : { session: current, replies: [] }
    },
    deps,
  )
  if (!changed) return deps.sessions.leave(room, session.sid)
  await Promise.all(evicted.map((id) => deps.sessions.leave(roomOf(session, id), session.sid)))
  if (watches(changed, agentId)) await enterRoom(room, session.sid, deps)
  else await deps.sessions.leave(room, session.sid)
  await deliver(session.sid, EVERYTHING, deps)
}

export async function endWatching(
  session: ConnectedSession,
  agentId: string,
  { watch, at }: { watch: Watch; at: number },
  deps: SocketDeps,
): Promise<void> {
  const room = roomOf(session, agentId)
  const changed = await changeSession(
    session.sid,
    (current) => (isLive(current) ? unsubscribed(current, agentId, at, watch) : current),
    deps,
  )
  if (!isLive(changed) || watches(changed, agentId)) return
  await deps.sessions.leave(room, session.sid)
  const now = await deps.sessions.get(session.sid)
  if (!isLive(now) || !watches(now, agentId)) return
  // A newer beginning was handled meanwhile, and its row may be the one that was just removed.
  await enterRoom(room, session.sid, deps)
  await deliver(session.sid, EVERYTHING, deps)
}
