/** A client's terminals: watching them, typing into them, resizing them. */
import type { ClientEvent } from '../../contracts/socket-events.ts'
import type { Environment } from '../environments/schema.ts'
import { EVERYTHING } from './batch.ts'
import { changeAndReply, changeSession } from './change-session.ts'
import { deliver } from './deliver.ts'
import { type InputOutcome, resize, sendInput } from './link-input.ts'
import type { Received, Room, SocketDeps } from './ports.ts'
import { replyWith } from './reply.ts'
import { enterRoom } from './rooms.ts'
import { type ConnectedSession, isLive, subscribed, unsubscribed } from './session.ts'

const NOT_FOUND = 'Agent not found'
const NOT_OWNER = 'Only the owner of this agent can type into its terminal'

const roomOf = ({ user }: ConnectedSession, agentId: string): Room => ({
  kind: 'terminal',
  teamId: user.teamId,
  agentId,
})

/** The agent if it is one of the session's team that its list would show. */
async function findAgent(
  session: ConnectedSession,
  agentId: string,
  deps: SocketDeps,
): Promise<Environment | undefined> {
  const record = await deps.environments.get({ teamId: session.user.teamId, id: agentId })
  return record && record.type === 'agent' && record.deletedAt === undefined ? record : undefined
}

const isOwnerOf = (session: ConnectedSession, record: Environment): boolean =>
  record.createdBy.userId === session.user.userId

const refuse = (session: ConnectedSession, agentId: string, error: string, deps: SocketDeps): Promise<void> =>
  replyWith(session.sid, ['terminal_error', { agentId, error }], deps)

/**
 * Any member may watch, whatever the agent's state, from the oldest output that is kept; a repeated `terminal_connect` begins
 * there again. The room is entered before the subscription is written, so no output falls between the two, and again after it,
 * because a `terminal_disconnect` handled at the same time may have taken the row away in between.
 */
export async function connectTerminal(
  session: ConnectedSession,
  { agentId }: ClientEvent<'terminal_connect'>,
  { at }: Received,
  deps: SocketDeps,
): Promise<void> {
  const record = await findAgent(session, agentId, deps)
  if (!record) return refuse(session, agentId, NOT_FOUND, deps)
  const room = roomOf(session, agentId)
  const isOwner = isOwnerOf(session, record)
  await enterRoom(room, session.sid, deps)
  let evicted: string[] = []
  const changed = await changeAndReply(
    session.sid,
    (current) => {
      const next = subscribed(current, agentId, { at, isOwner, position: 0 })
      evicted = next ? Object.keys(current.terminals).filter((id) => !(id in next.terminals)) : []
      return next
        ? { session: next, replies: [{ event: ['terminal_connected', { agentId, isOwner }] }] }
        : { session: current, replies: [] }
    },
    deps,
  )
  if (!changed) return deps.sessions.leave(room, session.sid)
  await Promise.all(evicted.map((id) => deps.sessions.leave(roomOf(session, id), session.sid)))
  if (changed.terminals[agentId]) await enterRoom(room, session.sid, deps)
  else await deps.sessions.leave(room, session.sid)
  await deliver(session.sid, EVERYTHING, deps)
}

export async function disconnectTerminal(
  session: ConnectedSession,
  { agentId }: ClientEvent<'terminal_disconnect'>,
  { at }: Received,
  deps: SocketDeps,
): Promise<void> {
  const room = roomOf(session, agentId)
  const changed = await changeSession(
    session.sid,
    (current) => (isLive(current) ? unsubscribed(current, agentId, at) : current),
    deps,
  )
  if (!isLive(changed) || changed.terminals[agentId]) return
  await deps.sessions.leave(room, session.sid)
  const now = await deps.sessions.get(session.sid)
  if (!isLive(now) || !now.terminals[agentId]) return
  // A newer terminal_connect was handled meanwhile, and its row may be the one that was just removed.
  await enterRoom(room, session.sid, deps)
  await deliver(session.sid, EVERYTHING, deps)
}

/** Whether this member owns the agent: known from the subscription, which saves a read per key. */
async function ownership(
  session: ConnectedSession,
  agentId: string,
  deps: SocketDeps,
): Promise<'owner' | 'other' | 'unknown-agent'> {
  const subscription = session.terminals[agentId]
  if (subscription) return subscription.isOwner ? 'owner' : 'other'
  const record = await findAgent(session, agentId, deps)
  if (!record) return 'unknown-agent'
  return isOwnerOf(session, record) ? 'owner' : 'other'
}

const INPUT_PROBLEMS: Readonly<Record<Exclude<InputOutcome, 'sent' | 'held'>, string>> = {
  ended: 'The agent is not running any more',
  'too-much': 'The agent is not connected yet, and too much input is waiting for it already',
  unreachable: 'The agent cannot be reached at the moment; what you typed was not delivered',
}

/** Input goes on with the gateway's receive time; the container puts it in that order. */
export async function typeIntoTerminal(
  session: ConnectedSession,
  { agentId, data }: ClientEvent<'terminal_input'>,
  { at, requestId }: Received,
  deps: SocketDeps,
): Promise<void> {
  const owner = await ownership(session, agentId, deps)
  if (owner !== 'owner') return refuse(session, agentId, owner === 'other' ? NOT_OWNER : NOT_FOUND, deps)
  if (data === '') return
  const outcome = await sendInput({ teamId: session.user.teamId, id: agentId }, { at, id: requestId, data }, deps)
  if (outcome !== 'sent' && outcome !== 'held') await refuse(session, agentId, INPUT_PROBLEMS[outcome], deps)
}

export async function resizeTerminal(
  session: ConnectedSession,
  { agentId, cols, rows }: ClientEvent<'terminal_resize'>,
  { at }: Received,
  deps: SocketDeps,
): Promise<void> {
  const owner = await ownership(session, agentId, deps)
  if (owner !== 'owner') return refuse(session, agentId, owner === 'other' ? NOT_OWNER : NOT_FOUND, deps)
  await resize({ teamId: session.user.teamId, id: agentId }, { cols, rows, at }, deps)
}
