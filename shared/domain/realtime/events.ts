/** What a connected client says: dispatch by the contract's table, and joining the team. */
import {
  type ClientEvent,
  type ClientEventName,
  clientEvents,
  type ServerEvent,
} from '../../contracts/socket-events.ts'
import { AppError } from '../errors.ts'
import { EVERYTHING } from './batch.ts'
import { changeAndReply } from './change-session.ts'
import { sendChatMessage } from './chat-events.ts'
import { deliver } from './deliver.ts'
import { subscribeToOutput, unsubscribeFromOutput } from './output-events.ts'
import type { Received, SocketDeps } from './ports.ts'
import { onPreviewRefresh, onPreviewStatus, onPreviewStop } from './preview-messages.ts'
import { replyWith } from './reply.ts'
import { enterRoom } from './rooms.ts'
import { type ConnectedSession, isLive, type Session } from './session.ts'
import { connectTerminal, disconnectTerminal, resizeTerminal, typeIntoTerminal } from './terminal-events.ts'

/** What still means something when the session has ended meanwhile: it concerns others than this client. */
const STILL_WANTED: ReadonlySet<ClientEventName> = new Set([
  'terminal_input',
  'terminal_resize',
  'chat-message',
  'container_action',
  'preview-stop',
])

/** Handles one event; what is not in the contract is ignored, what does not fit its schema is answered with `error`. */
export async function onEvent(session: Session, data: unknown, received: Received, deps: SocketDeps): Promise<void> {
  const { user } = session
  if (!user || !Array.isArray(data)) return
  const [name, payload] = data as unknown[]
  if (!isClientEvent(name) || (!isLive(session) && !STILL_WANTED.has(name))) return
  const parsed = clientEvents[name].safeParse(payload)
  if (!parsed.success) return replyWith(session.sid, ['error', { message: `Invalid payload for ${name}` }], deps)
  const connected: ConnectedSession = { ...session, user }
  // Each branch gets the payload that its own schema has parsed; a lookup by name loses that tie.
  switch (name) {
    case 'join-team':
      return joinTeam(connected, parsed.data as ClientEvent<'join-team'>, deps)
    case 'chat-message':
      return sendChatMessage(connected, parsed.data as ClientEvent<'chat-message'>, received, deps)
    case 'container_action':
      return actOnContainer(connected, parsed.data as ClientEvent<'container_action'>, received, deps)
    case 'agent_output_subscribe':
      return subscribeToOutput(connected, parsed.data as ClientEvent<'agent_output_subscribe'>, received, deps)
    case 'agent_output_unsubscribe':
      return unsubscribeFromOutput(connected, parsed.data as ClientEvent<'agent_output_unsubscribe'>, received, deps)
    case 'terminal_connect':
      return connectTerminal(connected, parsed.data as ClientEvent<'terminal_connect'>, received, deps)
    case 'terminal_disconnect':
      return disconnectTerminal(connected, parsed.data as ClientEvent<'terminal_disconnect'>, received, deps)
    case 'terminal_input':
      return typeIntoTerminal(connected, parsed.data as ClientEvent<'terminal_input'>, received, deps)
    case 'terminal_resize':
      return resizeTerminal(connected, parsed.data as ClientEvent<'terminal_resize'>, received, deps)
    case 'preview-refresh':
      return onPreviewRefresh(connected, parsed.data as ClientEvent<'preview-refresh'>, deps)
    case 'preview-status':
      return onPreviewStatus(connected, parsed.data as ClientEvent<'preview-status'>, deps)
    case 'preview-stop':
      return onPreviewStop(connected, parsed.data as ClientEvent<'preview-stop'>, received, deps)
  }
}

const isClientEvent = (name: unknown): name is ClientEventName =>
  typeof name === 'string' && Object.hasOwn(clientEvents, name)

/** The frontend shows a success whatever happens; a refusal is in its log. */
async function actOnContainer(
  { sid, user }: ConnectedSession,
  request: ClientEvent<'container_action'>,
  { requestId }: Received,
  deps: SocketDeps,
): Promise<void> {
  try {
    await deps.containerAction(request, user, requestId)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    await replyWith(sid, ['error', { message: error.message }], deps)
  }
}

/**
 * Joins the team's stream at the ledger's head, or, when the session has it already (a repetition, a resume), stays where it
 * is. The row in the room is written before the head is read: a commit is either below that head or finds the row. The chat's
 * history comes into the reply when it is delivered (batch.ts).
 */
async function joinTeam(session: ConnectedSession, payload: ClientEvent<'join-team'>, deps: SocketDeps): Promise<void> {
  const { sid, user } = session
  const { teamId, token } = typeof payload === 'string' ? { teamId: payload, token: undefined } : payload
  const member = token === undefined ? user : await deps.verifyToken(token)
  if (!member || member.userId !== user.userId) {
    return replyWith(sid, ['error', { message: 'Authentication failed' }], deps)
  }
  if (teamId !== user.teamId || member.teamId !== user.teamId) {
    return replyWith(sid, ['error', { message: 'You are not a member of this team' }], deps)
  }
  const room = { kind: 'team', teamId } as const
  await enterRoom(room, sid, deps)
  const head = await deps.ledger.head(teamId)
  const joined: ServerEvent = ['team-joined', { teamId, userId: user.userId, messages: [] }]
  const changed = await changeAndReply(
    sid,
    (current) => ({
      session: { ...current, team: current.team ?? { start: head, position: head } },
      replies: [{ event: joined }],
    }),
    deps,
  )
  if (!changed) return deps.sessions.leave(room, sid)
  await deliver(sid, EVERYTHING, deps)
}
