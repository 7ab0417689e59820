/**
 * The Engine.IO session with its Socket.IO state: one item, changed by compare-and-set only (`revision`). Everything here is
 * pure; the rules of who may write when stand in deliver.ts.
 */
import * as z from 'zod'
import { CONNECTION_TTL_HOURS } from '../../contracts/limits.ts'
import { KEPT_REPLIES, MAX_TERMINALS, MAX_UNREAD_REPLIES, RESUME_HOURS } from './limits.ts'

const count = z.number().int().min(0)
/** Milliseconds since the epoch. */
const instant = z.number()

/** A terminal that this session watches, or has as lines. `index` names it in offsets and is never used again under its `tag`. */
const SubscriptionSchema = z.object({
  index: count,
  /** Where this viewer began, and what it has been given: cumulative byte positions of the terminal's log. */
  start: count,
  position: count,
  /** Gateway time of the `terminal_connect`. */
  at: instant,
  isOwner: z.boolean(),
})

/** Something said to this client alone: a Socket.IO packet as text, or an event. */
const ReplySchema = z.union([
  z.object({ sequence: count, packet: z.string() }),
  z.object({ sequence: count, event: z.tuple([z.string(), z.unknown()]) }),
])
export type Reply = z.infer<typeof ReplySchema>
export type NewReply = { packet: string } | { event: readonly [string, unknown] }

export const UserSchema = z.object({ userId: z.string(), teamId: z.string() })
export type User = z.infer<typeof UserSchema>

export const SessionSchema = z.object({
  sid: z.string().min(1),
  revision: count,
  /** Ids of the last writes, by which a store knows a write whose answer was lost from one that was never made. */
  writes: z.array(z.string()).default([]),
  createdAt: instant,
  /** Epoch seconds. */
  expiresAt: z.number(),
  transport: z.enum(['polling', 'websocket']),
  /** The WebSocket that carries the session; set with transport `websocket` only. */
  connectionId: z.string().optional(),
  /** The open packet has been (or is being) sent; until then the session is not pinged. */
  opened: z.boolean(),
  /** A WebSocket that was answered `3probe`, until when polls end early for it. */
  probe: z.object({ connectionId: z.string(), until: instant }).optional(),
  /** The newest GET; an older one that is still held ends. */
  poll: z.object({ id: z.string(), at: instant }).optional(),
  /** Polling only: there may be something to read. */
  wake: z.boolean(),
  /** Polling only: when the last ping went out with other packets. */
  pingedAt: instant,
  membershipsUntil: instant,
  /** The transport is over. The session can still be resumed under another sid. */
  endedAt: instant.optional(),
  /** Of the verified token, since CONNECT. */
  user: UserSchema.optional(),
  /** When that token ends, which the session may outlive. */
  tokenEndsAt: instant.optional(),
  /** As the others see the member; found out at CONNECT, when the token is at hand. */
  userName: z.string().optional(),
  /** Chat messages sent in the current window. */
  chat: z.object({ since: instant, count }).optional(),
  /** Marks the offsets that belong to this session and to those that it has been resumed from. */
  tag: z.string(),
  /** Packets that arrived before their CONNECT was handled. */
  early: z.array(z.object({ at: instant, requestId: z.string(), packet: z.string() })),
  /** Ledger sequences; present once the team is joined. */
  team: z.object({ start: count, position: count }).optional(),
  terminals: z.record(z.string(), SubscriptionSchema),
  /** The same streams as lines (`agent-output`), for members who have asked for it. */
  outputs: z.record(z.string(), SubscriptionSchema).default({}),
  /** Gateway time of recent ends of watching, so that an older beginning handled later changes nothing; by `leftKey`. */
  left: z.record(z.string(), instant),
  nextIndex: count,
  replies: z.object({ last: count, sent: count, kept: z.array(ReplySchema) }),
  /** Who is posting to the connection; `again`: look at all streams once more before releasing. */
  lease: z.object({ id: z.string(), until: instant, again: z.boolean() }).optional(),
  /** The viewer's buffer was full: nobody but the queued delivery tries before. */
  blocked: z.object({ until: instant, deferrals: count }).optional(),
})
export type Session = z.infer<typeof SessionSchema>

/** A session after its CONNECT. */
export type ConnectedSession = Session & { readonly user: User }

const hoursFrom = (now: number, hours: number): number => Math.ceil(now / 1000) + hours * 3600

export function newSession(given: {
  sid: string
  tag: string
  now: number
  transport: Session['transport']
  connectionId?: string
}): Session {
  const { sid, tag, now, transport, connectionId } = given
  return {
    sid,
    tag,
    revision: 0,
    writes: [],
    createdAt: now,
    expiresAt: hoursFrom(now, CONNECTION_TTL_HOURS),
    transport,
    ...(connectionId === undefined ? {} : { connectionId }),
    opened: transport === 'polling',
    wake: false,
    pingedAt: now,
    membershipsUntil: now,
    early: [],
    terminals: {},
    outputs: {},
    left: {},
    nextIndex: 0,
    replies: { last: 0, sent: 0, kept: [] },
  }
}

export const isLive = (session: Session | undefined): session is Session =>
  session !== undefined && session.endedAt === undefined

/** What the gateway received before the session ended counts, however late its handler runs: somebody typed it. */
export const wasLiveAt = (session: Session, at: number): boolean =>
  session.endedAt === undefined || at <= session.endedAt

/** Ends the transport: nobody delivers any more, and the state stays for a resume. */
export function ended(session: Session, now: number): Session {
  const { lease: _lease, connectionId: _connection, probe: _probe, blocked: _blocked, ...rest } = session
  return { ...rest, endedAt: now, wake: false, early: [], expiresAt: hoursFrom(now, RESUME_HOURS) }
}

/** Keeps the item for another `CONNECTION_TTL_HOURS`. */
export const kept = (session: Session, now: number): Session => ({
  ...session,
  expiresAt: hoursFrom(now, CONNECTION_TTL_HOURS),
})

const sizeOf = (replies: readonly Reply[]): number =>
  replies.reduce((sum, reply) => sum + JSON.stringify(reply).length, 0)

/** Appends replies; undefined when the client has left too many unread. Wakes a held poll. */
export function withReplies(session: Session, added: readonly NewReply[]): Session | undefined {
  const { last, sent, kept: all } = session.replies
  const fresh = added.map((reply, i): Reply => ({ ...reply, sequence: last + 1 + i }) as Reply)
  const unread = [...all.filter(({ sequence }) => sequence > sent), ...fresh]
  if (unread.length > MAX_UNREAD_REPLIES.count || sizeOf(unread) > MAX_UNREAD_REPLIES.bytes) return undefined
  const given = all.filter((reply) => reply.sequence <= sent && 'event' in reply).slice(-KEPT_REPLIES.count)
  while (sizeOf(given) > KEPT_REPLIES.bytes) given.shift()
  return {
    ...session,
    wake: session.transport === 'polling' || session.wake,
    replies: { last: last + added.length, sent, kept: [...given, ...unread] },
  }
}

/** In which form a session follows an agent's output: raw bytes for a terminal, or lines. */
export type Watch = 'terminals' | 'outputs'
const leftKey = (watch: Watch, agentId: string): string => (watch === 'terminals' ? agentId : `outputs/${agentId}`)

/** Every agent whose output this session follows in one form or the other. */
export const watchedAgents = ({ terminals, outputs }: Pick<Session, Watch>): string[] => [
  ...new Set([...Object.keys(terminals), ...Object.keys(outputs)]),
]

/** A tombstone is needed while an older message can still be under way: longer than any handler runs. */
const LEFT_MS = 60_000

/**
 * Begins to watch a terminal from `position`, anew if it is watched already; the oldest one ends when they are too many. Undefined: a newer `terminal_disconnect` was
 * handled before this one (at equal times the connect wins, which at worst sends output that nobody shows).
 */
export function subscribed(
  session: Session,
  agentId: string,
  { at, isOwner, position, watch = 'terminals' }: { at: number; isOwner: boolean; position: number; watch?: Watch },
): Session | undefined {
  const last = Math.max(session.left[leftKey(watch, agentId)] ?? 0, session[watch][agentId]?.at ?? 0)
  if (last > at) return undefined
  const subscription = { index: session.nextIndex, start: position, position, at, isOwner }
  const others = Object.entries(session[watch]).filter(([id]) => id !== agentId)
  const newest = others.sort(([, a], [, b]) => a.index - b.index).slice(1 - MAX_TERMINALS)
  const watched = { ...Object.fromEntries(newest), [agentId]: subscription }
  return { ...session, nextIndex: session.nextIndex + 1, [watch]: watched }
}

/** Ends watching; the session itself when a newer beginning was handled before. */
export function unsubscribed(session: Session, agentId: string, at: number, watch: Watch = 'terminals'): Session {
  const subscription = session[watch][agentId]
  if (subscription && subscription.at >= at) return session
  const { [agentId]: _gone, ...watched } = session[watch]
  const recent = Object.entries(session.left).filter(([, leftAt]) => leftAt > at - LEFT_MS)
  const key = leftKey(watch, agentId)
  return {
    ...session,
    [watch]: watched,
    left: { ...Object.fromEntries(recent.slice(-MAX_TERMINALS)), [key]: Math.max(at, session.left[key] ?? 0) },
  }
}
