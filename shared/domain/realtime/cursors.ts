/**
 * Where a client stands in everything it follows, and the opaque offset that says so on the wire. The Socket.IO client keeps
 * the last string argument of the last event it was given and shows it when it reconnects.
 */
import type { Session } from './session.ts'

export interface Cursors {
  /** Sequence of the last direct reply. */
  readonly reply: number
  /** Ledger sequence; absent before the team is joined. */
  readonly team?: number
  /** By agent; `index` tells one subscription from a later one of the same agent. */
  readonly terminals: Places
  /** The same for `agent-output`: where the first line that was not given begins. */
  readonly outputs: Places
}
export type Places = Readonly<Record<string, { readonly index: number; readonly position: number }>>
type Subscriptions = Session['terminals']

const placesOf = (subscriptions: Subscriptions): Places =>
  mapped(subscriptions, ({ index, position }) => ({ index, position }))

export const cursorsOf = (session: Session): Cursors => ({
  reply: session.replies.sent,
  ...(session.team ? { team: session.team.position } : {}),
  terminals: placesOf(session.terminals),
  outputs: placesOf(session.outputs),
})

function mapped<A, B>(record: Readonly<Record<string, A>>, change: (value: A, key: string) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value, key)]))
}

const moved = (subscriptions: Subscriptions, places: Places): Subscriptions =>
  mapped(subscriptions, (subscription, agentId) => {
    const place = places[agentId]
    return place?.index === subscription.index ? { ...subscription, position: place.position } : subscription
  })

/** Sets the session's positions. What was joined or subscribed after the cursors were taken keeps its own. */
export function movedTo(session: Session, cursors: Cursors): Session {
  return {
    ...session,
    ...(session.team && cursors.team !== undefined ? { team: { ...session.team, position: cursors.team } } : {}),
    terminals: moved(session.terminals, cursors.terminals),
    outputs: moved(session.outputs, cursors.outputs),
    replies: { ...session.replies, sent: cursors.reply },
  }
}

/** `<tag>.<reply>.<team>.<index>-<position>_…`, numbers in base 36; some 30 characters and 12 for each terminal or output. */
export function encodeOffset(tag: string, cursors: Cursors): string {
  const places = [...Object.values(cursors.terminals), ...Object.values(cursors.outputs)]
  const terminals = places.map(({ index, position }) => `${base36(index)}-${base36(position)}`)
  const team = cursors.team === undefined ? '' : base36(cursors.team)
  return [tag, base36(cursors.reply), team, terminals.join('_')].join('.')
}

/** Longest offset that is looked at: 32 terminals and 32 outputs make some 900 characters. */
const MAX_OFFSET_CHARS = 2_000

export interface Offset {
  readonly reply: number
  readonly team?: number
  /** Positions by index, of terminals and outputs alike: an index is one subscription's. */
  readonly terminals: ReadonlyMap<number, number>
}

/** Undefined for anything that was not given under this tag: another session's offset, or nonsense. */
export function decodeOffset(tag: string, text: unknown): Offset | undefined {
  if (typeof text !== 'string' || text.length > MAX_OFFSET_CHARS) return undefined
  const [given, reply, team, terminals, ...rest] = text.split('.')
  if (given !== tag || rest.length > 0 || reply === undefined || team === undefined || terminals === undefined) {
    return undefined
  }
  const pairs = terminals === '' ? [] : terminals.split('_').map((pair) => pair.split('-').map(fromBase36))
  const numbers = [fromBase36(reply), ...(team === '' ? [] : [fromBase36(team)]), ...pairs.flat()]
  if (!numbers.every(Number.isSafeInteger) || pairs.some(({ length }) => length !== 2)) return undefined
  return {
    reply: fromBase36(reply),
    ...(team === '' ? {} : { team: fromBase36(team) }),
    terminals: new Map(pairs as [number, number][]),
  }
}

/**
 * The session's state put back to what the client really has: its offset, or without one (no event has reached it) to where
 * each stream began for it. Never before the beginning and never beyond what was sent, whatever the offset claims.
 */
export function rewound(session: Session, offset: Offset | undefined): Session {
  const clamp = (value: number | undefined, { start, position }: { start: number; position: number }): number =>
    Math.min(Math.max(value ?? start, start), position)
  const oldestReply = Math.min(
    session.replies.sent,
    (session.replies.kept[0]?.sequence ?? Number.POSITIVE_INFINITY) - 1,
  )
  const putBack = (subscriptions: Subscriptions): Subscriptions =>
    mapped(subscriptions, (subscription) => ({
      ...subscription,
      position: clamp(offset?.terminals.get(subscription.index), subscription),
    }))
  return {
    ...session,
    ...(session.team ? { team: { ...session.team, position: clamp(offset?.team, session.team) } } : {}),
    terminals: putBack(session.terminals),
    outputs: putBack(session.outputs),
    replies: {
      ...session.replies,
      sent: clamp(offset?.reply, { start: oldestReply, position: session.replies.sent }),
    },
  }
}

const base36 = (value: number): string => value.toString(36)
const fromBase36 = (text: string): number => (/^[0-9a-z]{1,11}$/.test(text) ? Number.parseInt(text, 36) : Number.NaN)
