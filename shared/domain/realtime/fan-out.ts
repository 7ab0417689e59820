/**
 * Telling a room: every session in it gets what is new. One call tells a part of a large room itself and leaves the others to the work
 * queue, in shares that are told side by side; whoever runs out of time leaves the rest to the queue as well. So nothing waits for
 * the outbox sweep but what has failed.
 */
import { SESSION_RANGE_CHARS, type Work } from '../../contracts/work.ts'
import { Unavailable } from '../errors.ts'
import type { Chunk } from '../terminal/schema.ts'
import { type Scope, teamScope, terminalScope } from './batch.ts'
import { type Delivery, deliver } from './deliver.ts'
import { FAN_OUT, LOOK_AGAIN_SECONDS, PUBLISH_BUDGET_MS, SESSIONS_READ, SHARE, SHARE_BUDGET_MS } from './limits.ts'
import type { DeliveryDeps, SessionRange } from './ports.ts'
import type { Session } from './session.ts'

type Tell = Extract<Work, { kind: 'tell' }>

/** A room, and what is new in it: for a terminal perhaps `fresh`, the chunks that have just been stored, without a gap. */
export type News =
  | Extract<Tell['news'], { kind: 'team' }>
  | (Extract<Tell['news'], { kind: 'terminal' }> & { readonly fresh?: readonly Chunk[] })

/**
 * Delivers to every session in the room, or leaves that to the queue: after `PUBLISH_BUDGET_MS` no delivery is begun, because a function
 * that is killed has all that it was at closed. One viewer's trouble is its own: it is logged, the others are served. False: for at least
 * one nothing is certain (its deliverer may have died, or something failed, the queue included); whoever is responsible comes again.
 */
export async function tellRoom(news: News, deps: DeliveryDeps): Promise<boolean> {
  const until = deps.clock.now().getTime() + PUBLISH_BUDGET_MS
  let isCertain = true
  let own = SHARE
  let scope: Scope | undefined
  let cursor: string | undefined
  do {
    const page = await deps.sessions.members(news, cursor)
    const { mine, others } = divided(page.sids, own)
    own -= mine.length
    const handedOn = handOn(news, others, deps)
    if (mine.length > 0) scope ??= await scopeOf(news, deps)
    const told = scope ? await tellSessions(news, mine, { scope, until }, deps) : NOBODY
    const isHandedOn = (await handedOn) && (await handOn(news, [told.rest], deps))
    isCertain &&= isHandedOn && told.busy.length === 0 && told.failed === 0
    cursor = page.cursor
  } while (cursor !== undefined)
  return isCertain
}

/**
 * A share of a room, from the queue. Where another deliverer is at work on a session of a team, it is told once more when that one must have
 * left: whoever is at work on it then is a newcomer, and the one before has seen the mark. `isRepeated`: the message has been received
 * before. @throws Unavailable when a session could not be told: the message comes again, which does nothing to those who have everything
 */
export async function tellShare(
  { news, sessions, again }: Tell,
  deps: DeliveryDeps,
  { isRepeated = false }: { isRepeated?: boolean } = {},
): Promise<void> {
  const until = deps.clock.now().getTime() + SHARE_BUDGET_MS
  const [sids, scope] = await Promise.all([membersIn(news, sessions, deps), scopeOf(news, deps)])
  const { rest, busy, failed } = await tellSessions(news, sids, { scope, until }, deps)
  // A message that comes again for what failed has sent its rest before: sent each time, which itself comes again each time, they would
  // multiply for as long as a store is slow and fails.
  const isLeft = rest.length > 0 && !(isRepeated && failed > 0)
  if (isLeft) await deps.work.send({ kind: 'tell', news, sessions: rangeOf(rest), again })
  if (busy.length > 0 && !again && news.kind === 'team') {
    const sessions = rangeOf(busy.toSorted())
    await deps.work.send({ kind: 'tell', news, sessions, again: true }, LOOK_AGAIN_SECONDS)
  }
  if (failed > 0) throw new Unavailable(`${failed} of ${sids.length} sessions could not be told`)
}

const scopeOf = (news: News, { ledger }: DeliveryDeps): Promise<Scope> | Scope =>
  news.kind === 'team' ? teamScope(news.teamId, news.after, ledger) : terminalScope(news.agentId, news.fresh)

/**
 * The page's part of a call, at most `own` neighbours, and what lies around it. It is any of the parts: when the queue takes nothing, it
 * is not always the same ones who wait for the sweep.
 */
function divided(
  sids: readonly string[],
  own: number,
): { mine: readonly string[]; others: readonly (readonly string[])[] } {
  if (own === 0) return { mine: [], others: [sids] }
  const part = Math.floor(Math.random() * Math.ceil(sids.length / own))
  const first = Math.max(Math.min(part * own, sids.length - own), 0)
  return { mine: sids.slice(first, first + own), others: [sids.slice(0, first), sids.slice(first + own)] }
}

async function membersIn(news: News, range: SessionRange, { sessions }: DeliveryDeps): Promise<readonly string[]> {
  const sids: string[] = []
  let cursor: string | undefined
  do {
    const page = await sessions.members(news, cursor, range)
    sids.push(...page.sids)
    cursor = page.cursor
  } while (cursor !== undefined)
  return sids
}

/** Of ids in their order. Where two ids begin alike, ranges overlap, and a session is told twice, which does nothing to it. */
const rangeOf = (sids: readonly string[]): SessionRange => ({
  from: (sids[0] ?? '').slice(0, SESSION_RANGE_CHARS),
  to: (sids.at(-1) ?? '').slice(0, SESSION_RANGE_CHARS),
})

/** Leaves neighbours in the room to the queue, in shares. False: the queue has not taken all of them. */
async function handOn(
  news: News,
  neighbours: readonly (readonly string[])[],
  { work, log }: DeliveryDeps,
): Promise<boolean> {
  const shares = neighbours.flatMap((sids) =>
    Array.from({ length: Math.ceil(sids.length / SHARE) }, (_, n) => sids.slice(n * SHARE, (n + 1) * SHARE)),
  )
  if (shares.length === 0) return true
  const { kind, teamId } = news
  const room = kind === 'team' ? news : { kind, teamId, agentId: news.agentId }
  try {
    await work.sendAll(shares.map((sids) => ({ kind: 'tell', news: room, sessions: rangeOf(sids), again: false })))
    return true
  } catch (error) {
    log.error('Sessions of a room could not be left to the queue', { kind, teamId, shares: shares.length, error })
    return false
  }
}

interface Told {
  /** Not begun when the time was over; never all of them. */
  readonly rest: readonly string[]
  readonly busy: readonly string[]
  readonly failed: number
}
const NOBODY: Told = { rest: [], busy: [], failed: 0 }

async function tellSessions(
  room: News,
  sids: readonly string[],
  { scope, until }: { scope: Scope; until: number },
  deps: DeliveryDeps,
): Promise<Told> {
  const busy: string[] = []
  let failed = 0
  let begun = 0
  const isOver = () => begun > 0 && deps.clock.now().getTime() >= until
  const sessions = read(sids, deps)
  /** Asks for a session only when there is a place to deliver to it: what was read long ago is likely to have changed. */
  const tellNext = async (): Promise<boolean> => {
    const next = isOver() ? undefined : await sessions.next()
    if (!next || next.done) return false
    begun++
    const { sid, known } = next.value
    const outcome = await tell(sid, room, { scope, known }, deps)
    if (outcome === 'busy') busy.push(sid)
    if (outcome === 'failed') failed++
    return true
  }
  const lane = async (): Promise<void> => {
    while (await deps.gate(tellNext));
  }
  await Promise.all(Array.from({ length: Math.min(FAN_OUT, sids.length) }, lane))
  return { rest: sids.slice(begun), busy, failed }
}

/** The sessions in turn, each as it stood a moment ago where that could be read; who is missing is looked for by its delivery. */
async function* read(
  sids: readonly string[],
  { sessions, log }: DeliveryDeps,
): AsyncGenerator<{ sid: string; known: Session | undefined }, undefined> {
  for (let first = 0; first < sids.length; first += SESSIONS_READ) {
    const some = sids.slice(first, first + SESSIONS_READ)
    let known: ReadonlyMap<string, Session> = new Map()
    try {
      if (some.length > 1) known = await sessions.getMany(some)
    } catch (error) {
      log.warn('Sessions could not be read at once, each is read for itself', { sessions: some.length, error })
    }
    for (const sid of some) yield { sid, known: known.get(sid) }
  }
}

async function tell(
  sid: string,
  room: News,
  { scope, known }: { scope: Scope; known: Session | undefined },
  deps: DeliveryDeps,
): Promise<Delivery | 'failed'> {
  try {
    const outcome = await deliver(sid, scope, deps, { known })
    if (outcome === 'gone') await deps.sessions.leave(room, sid)
    return outcome
  } catch (error) {
    deps.log.error('Delivery to a session failed', { error })
    return 'failed'
  }
}
