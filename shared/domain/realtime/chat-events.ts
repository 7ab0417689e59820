/** What a member says to the team. */
import type { ClientEvent } from '../../contracts/socket-events.ts'
import { chatEntry, counted } from '../chat/message.ts'
import { changeSession } from './change-session.ts'
import type { Received, SocketDeps } from './ports.ts'
import { publishEntries } from './publishing.ts'
import { replyWith } from './reply.ts'
import type { ConnectedSession } from './session.ts'

const refuse = (session: ConnectedSession, message: string, deps: SocketDeps): Promise<void> =>
  replyWith(session.sid, ['error', { message }], deps)

/**
 * A chat message is an entry of the team's ledger: order, exactly once, resume and the sweep are the ledger's. The sender
 * gets it like everybody else.
 */
export async function sendChatMessage(
  session: ConnectedSession,
  { teamId, message }: ClientEvent<'chat-message'>,
  { at, requestId }: Received,
  deps: SocketDeps,
): Promise<void> {
  const { sid, user } = session
  if (teamId !== user.teamId) return refuse(session, 'You are not a member of this team', deps)
  if (message.trim() === '') return refuse(session, 'A chat message needs some text', deps)
  if (!(await mayChat(sid, deps))) return refuse(session, 'Too many chat messages; wait a moment', deps)
  const author = { ...user, userName: session.userName ?? user.userId }
  const entry = chatEntry(author, { id: deps.newId(), text: message, at, correlationId: requestId })
  await publishEntries([await deps.chat.append(entry)], deps)
}

/** Counts one more message of this connection. */
async function mayChat(sid: string, deps: SocketDeps): Promise<boolean> {
  let isAllowed = false
  await changeSession(
    sid,
    (current) => {
      const chat = counted(current.chat, deps.clock.now().getTime())
      isAllowed = chat !== undefined
      return chat ? { ...current, chat } : current
    },
    deps,
  )
  return isAllowed
}
