/**
 * Socket.IO CONNECT: who it is, and, when the client shows the `pid` of an earlier session, that session's memberships and
 * cursors under the new one (connection state recovery).
 */
import * as z from 'zod'
import { tokenExpiry } from '../token-expiry.ts'
import { EVERYTHING } from './batch.ts'
import { changeAndReply, changeSession, leaveRooms } from './change-session.ts'
import { decodeOffset, rewound } from './cursors.ts'
import { deliver } from './deliver.ts'
import { MEMBERSHIP_RENEWAL_MS } from './limits.ts'
import { connectErrorPacket, connectPacket } from './packets.ts'
import type { SocketDeps } from './ports.ts'
import { enterRooms } from './rooms.ts'
import { ended, isLive, type Session, type User } from './session.ts'

/** What a client may show; anything else in it is of no interest. */
const AuthSchema = z
  .object({
    token: z.string().max(8192).optional().catch(undefined),
    pid: z.string().max(200).optional().catch(undefined),
    offset: z.string().optional().catch(undefined),
  })
  .catch({})

/**
 * Handles CONNECT of the default namespace and answers the events that came before it was handled, in the gateway's order.
 * Throws when the token cannot be checked: the transport is to fail then, because the frontend gives up on a refusal.
 */
export async function connect(sid: string, data: unknown, deps: SocketDeps): Promise<Session['early']> {
  const auth = AuthSchema.parse(data)
  const { token } = auth
  const user = token === undefined ? undefined : await deps.verifyToken(token)
  if (token === undefined || !user) {
    const refusal = { packet: connectErrorPacket('/', 'Authentication failed') }
    await changeAndReply(sid, (session) => ({ session: { ...session, early: [] }, replies: [refusal] }), deps)
    await deliver(sid, EVERYTHING, deps)
    return []
  }
  const [earlier, userName] = await Promise.all([
    auth.pid === undefined ? undefined : takeOver(auth.pid, sid, user, deps),
    deps.memberName(user, token),
  ])
  const restored = earlier && rewound(earlier, decodeOffset(earlier.tag, auth.offset))
  return establish(sid, { user, userName, tokenEndsAt: tokenExpiry(token) ?? 0 }, restored, deps)
}

/**
 * Ends the session that the `pid` names, so that nobody delivers to it any more, and answers its last state. Undefined: there
 * is none, it is another member's, or it is this one.
 *
 * A `pid` is the id of one session, so what the client shows is the session of which it has the CONNECT reply, and its
 * offset cannot be ahead of that session. A session may be taken over again: when the reply of the one that took over was
 * lost, the client knows nothing of it and shows the earlier `pid` once more.
 */
async function takeOver(pid: string, sid: string, user: User, deps: SocketDeps): Promise<Session | undefined> {
  if (pid === sid) return undefined
  const now = deps.clock.now().getTime()
  let before: Session | undefined
  await changeSession(
    pid,
    (session) => {
      const isTheirs = session.user?.userId === user.userId && session.user.teamId === user.teamId
      before = isTheirs ? session : undefined
      return before && isLive(session) ? ended(session, now) : session
    },
    deps,
  )
  if (before && isLive(before)) {
    if (before.connectionId !== undefined) await deps.poster.close(before.connectionId)
    await leaveRooms(before, deps)
  }
  return before
}

async function establish(
  sid: string,
  member: { user: User; userName: string; tokenEndsAt: number },
  restored: Session | undefined,
  deps: SocketDeps,
): Promise<Session['early']> {
  const socketId = deps.newId()
  const now = deps.clock.now().getTime()
  if (restored) await enterRooms({ ...restored, sid }, deps)
  let early: Session['early'] = []
  const session = await changeAndReply(
    sid,
    (current) => {
      early = []
      if (current.user) return { session: current, replies: [] }
      early = [...current.early].sort((a, b) => a.at - b.at)
      const known = { ...current, ...member, early: [], membershipsUntil: now + MEMBERSHIP_RENEWAL_MS }
      return {
        session: restored ? { ...known, ...streamsOf(restored) } : known,
        replies: [{ packet: connectPacket(socketId, sid) }, ...unreadEvents(restored)],
      }
    },
    deps,
  )
  if (!session) {
    if (restored) await leaveRooms({ ...restored, sid }, deps)
    return []
  }
  await deliver(sid, EVERYTHING, deps)
  return early
}

/** What follows the client from session to session. Its unread replies come again behind the CONNECT packet. */
function streamsOf({ tag, team, terminals, outputs, left, nextIndex, replies }: Session): Partial<Session> {
  return {
    tag,
    ...(team ? { team } : {}),
    terminals,
    outputs,
    left,
    nextIndex,
    replies: { last: replies.last, sent: replies.last, kept: [] },
  }
}

const unreadEvents = (restored: Session | undefined): { event: readonly [string, unknown] }[] =>
  (restored?.replies.kept ?? []).flatMap((reply) =>
    'event' in reply && reply.sequence > (restored?.replies.sent ?? 0) ? [{ event: reply.event }] : [],
  )
