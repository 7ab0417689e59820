/** A client's terminals: watching them, typing into them, resizing them. */
import type { ClientEvent } from '../../contracts/socket-events.ts'
import { type InputOutcome, resize, sendInput } from './link-input.ts'
import type { Received, SocketDeps } from './ports.ts'
import { replyWith } from './reply.ts'
import type { ConnectedSession } from './session.ts'
import { beginWatching, endWatching, findAgent, isOwnerOf } from './watching.ts'

const NOT_FOUND = 'Agent not found'
const NOT_OWNER = 'Only the owner of this agent can type into its terminal'

const refuse = (session: ConnectedSession, agentId: string, error: string, deps: SocketDeps): Promise<void> =>
  replyWith(session.sid, ['terminal_error', { agentId, error }], deps)

/** Any member may watch, whatever the agent's state; it is answered even when the terminal is watched already. */
export async function connectTerminal(
  session: ConnectedSession,
  { agentId }: ClientEvent<'terminal_connect'>,
  { at }: Received,
  deps: SocketDeps,
): Promise<void> {
  const record = await findAgent(session, agentId, deps)
  if (!record) return refuse(session, agentId, NOT_FOUND, deps)
  const isOwner = isOwnerOf(session, record)
  const replies = [{ event: ['terminal_connected', { agentId, isOwner }] as const }]
  await beginWatching(session, agentId, { watch: 'terminals', at, isOwner, replies }, deps)
}

export async function disconnectTerminal(
  session: ConnectedSession,
  { agentId }: ClientEvent<'terminal_disconnect'>,
  { at }: Received,
  deps: SocketDeps,
): Promise<void> {
  await endWatching(session, agentId, { watch: 'terminals', at }, deps)
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
