/**
 * Delivery: everything a client gets it gets here (or in the answer of its poll, poll.ts), by cursors over streams.
 *
 * Over a WebSocket one deliverer at a time owns the session by a lease. It reads what is above the cursors and, in the one
 * write that takes or renews the lease, moves the cursors past it; only then it posts. So nothing is posted twice: a deliverer
 * that dies in between leaves an expired lease, whoever finds it closes the connection, and the client resumes by the offset
 * it really has. Nothing is lost either: who finds the lease taken marks it `again` (a write against the same revision as the
 * holder's release), so the holder looks once more at the streams, in which the newcomer's commit already stands.
 */

import { Unavailable } from '../errors.ts'
import { type Batch, EVERYTHING, readBatch, type Scope } from './batch.ts'
import { abandonSession, changeSession, endSession, logName } from './change-session.ts'
import { type Cursors, cursorsOf, movedTo } from './cursors.ts'
import {
  DELIVERY_BUDGET_MS,
  deferralSeconds,
  FULL_WAITS_MS,
  LEASE_MS,
  MAX_CAS_TRIES,
  MAX_DEFERRALS,
  POLL_ABSENCE_MS,
  POST_TIMEOUT_MS,
} from './limits.ts'
import type { DeliveryDeps } from './ports.ts'
import { isLive, type Session } from './session.ts'

/**
 * `delivered`, `nothing`: the client has everything. `woken`: its poll will fetch it. `deferred`: a queued delivery will.
 * `busy`: another deliverer has been told to look again; only if it dies is something still to be done. `gone`: no session.
 */
export type Delivery = 'delivered' | 'nothing' | 'woken' | 'deferred' | 'busy' | 'gone'

/**
 * Delivers what the streams in `scope` hold. `retry`: this is the queued delivery for which a full viewer was put off. `known`: the session
 * as it was read a moment ago, after what is to be delivered was committed.
 */
export async function deliver(
  sid: string,
  scope: Scope,
  deps: DeliveryDeps,
  { retry = false, known }: { retry?: boolean; known?: Session | undefined } = {},
): Promise<Delivery> {
  const leaseId = deps.newId()
  const until = deps.clock.now().getTime() + DELIVERY_BUDGET_MS
  let outcome: Delivery = 'nothing'
  for (;;) {
    const isFirst = outcome !== 'delivered'
    const how = { leaseId, retry, known: isFirst ? known : undefined }
    const claim = await claimBatch(sid, isFirst ? scope : EVERYTHING, how, deps)
    if (typeof claim === 'string') return claim === 'nothing' ? outcome : claim
    const { posted, problem } = await post(claim, until, deps)
    if (problem === 'full') return await defer(claim, posted, deps)
    if (problem === 'gone') {
      await endSession(sid, deps, connectionOf(claim.session))
      return 'gone'
    }
    if (problem === 'unclear') {
      await abandonSession(claim.session, 'a post had no clear outcome', deps)
      return 'gone'
    }
    outcome = 'delivered'
    if (problem === 'late') await putBack(claim, posted, (session) => session, deps)
    const isOver = deps.clock.now().getTime() >= until
    const more = claim.batch.more || problem === 'late'
    if (await release(claim, { more, isOver }, deps)) return outcome
    if (isOver) {
      await deps.work.send({ kind: 'deliver', sid, attempt: 0 })
      return 'deferred'
    }
  }
}

interface Claim {
  /** As written: with the lease and the cursors behind the batch. */
  readonly session: Session
  readonly before: Cursors
  readonly batch: Batch
}

const connectionOf = ({ connectionId }: Session): { connectionId?: string } =>
  connectionId === undefined ? {} : { connectionId }

/** Takes (or renews) the lease together with the next batch, or says why there is nothing to post. */
async function claimBatch(
  sid: string,
  scope: Scope,
  { leaseId, retry, known }: { leaseId: string; retry: boolean; known: Session | undefined },
  deps: DeliveryDeps,
): Promise<Claim | Exclude<Delivery, 'delivered'>> {
  for (let tries = 1; tries <= MAX_CAS_TRIES; tries++) {
    const now = deps.clock.now().getTime()
    const session = tries === 1 && known && isUsable(known, now) ? known : await deps.sessions.get(sid)
    if (!isLive(session)) return 'gone'
    if (session.transport === 'polling') {
      const outcome = await wake(session, now, deps)
      if (outcome) return outcome
    } else {
      const { lease } = session
      const isMine = lease?.id === leaseId
      if (lease && !isMine) {
        const outcome = await meetHolder(session, now, deps)
        if (outcome) return outcome
      } else if (!isMine && !retry && session.blocked && session.blocked.until > now) {
        return 'deferred'
      } else {
        const batch = await readBatch(session, lease?.again ? EVERYTHING : scope, deps)
        const isEmpty = batch.frames.length === 0 && !batch.more
        if (isEmpty && !isMine) return 'nothing'
        const next = isEmpty
          ? unleased(session)
          : { ...movedTo(session, batch.end), lease: { id: leaseId, until: now + LEASE_MS, again: false } }
        if (await deps.sessions.put(next)) {
          if (isEmpty) return 'nothing'
          return { session: { ...next, revision: next.revision + 1 }, before: cursorsOf(session), batch }
        }
      }
    }
    await deps.sleep(Math.random() * Math.min(5 * tries, 50))
  }
  throw new Unavailable('a session is being changed by too many at once')
}

/**
 * Whether what was read a moment ago will do: every change is made on condition that it still stands. Not for what only time tells:
 * that a deliverer is dead, or a polling client has left.
 */
const isUsable = (known: Session, now: number): boolean => !known.lease && !(isLive(known) && isAbsent(known, now))

const isAbsent = ({ transport, poll, createdAt }: Session, now: number): boolean =>
  transport === 'polling' && (poll?.at ?? createdAt) + POLL_ABSENCE_MS < now

/** Undefined: lost a race, look again. */
async function wake(session: Session, now: number, deps: DeliveryDeps): Promise<'woken' | 'gone' | undefined> {
  if (isAbsent(session, now)) {
    await endSession(session.sid, deps)
    return 'gone'
  }
  if (session.wake || (await deps.sessions.put({ ...session, wake: true }))) return 'woken'
  return undefined
}

async function meetHolder(session: Session, now: number, deps: DeliveryDeps): Promise<'busy' | 'gone' | undefined> {
  const { lease } = session
  if (lease && lease.until <= now) {
    await abandonSession(session, 'its deliverer died', deps)
    return 'gone'
  }
  if (lease?.again) return 'busy'
  return lease && (await deps.sessions.put({ ...session, lease: { ...lease, again: true } })) ? 'busy' : undefined
}

function unleased(session: Session): Session {
  const { lease: _lease, blocked: _blocked, ...rest } = session
  return rest
}

type Problem = 'full' | 'gone' | 'unclear' | 'late'

/** Posts the batch in order. `posted`: how many packets the gateway has taken. `late`: the lease or the call's time is over. */
async function post(
  { session, batch }: Claim,
  until: number,
  deps: DeliveryDeps,
): Promise<{ posted: number; problem?: Problem }> {
  const { connectionId, lease } = session
  if (connectionId === undefined || !lease) return { posted: 0, problem: 'gone' }
  for (const [posted, { packet }] of batch.frames.entries()) {
    for (let waits = 0; ; waits++) {
      const now = deps.clock.now().getTime()
      const isLate = now + POST_TIMEOUT_MS > lease.until || (now >= until && posted > 0)
      if (isLate) return { posted, problem: 'late' }
      const outcome = await deps.poster.post(connectionId, packet)
      if (outcome === 'sent') break
      const pause = FULL_WAITS_MS[waits]
      if (outcome !== 'full' || pause === undefined) return { posted, problem: outcome }
      await deps.sleep(pause)
    }
  }
  return { posted: batch.frames.length }
}

/**
 * Gives the lease back unless there is more to do: then it is kept, for the next claim to renew. `isOver`: it is given back in
 * any case. Answers whether everything is done. The first try is made on the session as this deliverer has written it, which
 * saves a read when nobody came in between.
 */
async function release(
  { session: written }: Claim,
  { more, isOver }: { more: boolean; isOver: boolean },
  deps: DeliveryDeps,
): Promise<boolean> {
  if (more && !isOver) return false
  if (!more && (await deps.sessions.put(unleased(written)))) return true
  let done = true
  await changeSession(
    written.sid,
    (session) => {
      done = true
      if (session.lease?.id !== written.lease?.id) return session
      done = !more && !session.lease?.again
      return done || isOver ? unleased(session) : session
    },
    deps,
  )
  return done
}

/** Puts the cursors back to the last packet that was taken: the rest was certainly not sent. */
async function putBack(
  { session, before, batch }: Claim,
  posted: number,
  then: (session: Session) => Session,
  deps: DeliveryDeps,
): Promise<Session | undefined> {
  const reached = batch.frames[posted - 1]?.after ?? before
  return changeSession(
    session.sid,
    (current) => (current.lease?.id === session.lease?.id ? then(movedTo(current, reached)) : current),
    deps,
  )
}

/** The viewer's buffer stays full: this viewer alone is put off, or, when that has lasted, cut off. */
async function defer(claim: Claim, posted: number, deps: DeliveryDeps): Promise<Delivery> {
  const { sid } = claim.session
  const deferrals = (posted > 0 ? 0 : (claim.session.blocked?.deferrals ?? 0)) + 1
  if (deferrals > MAX_DEFERRALS) {
    await abandonSession(claim.session, 'its buffer stays full', deps)
    return 'gone'
  }
  const seconds = deferralSeconds(deferrals)
  const until = deps.clock.now().getTime() + seconds * 1000
  await putBack(claim, posted, (session) => ({ ...unleased(session), blocked: { until, deferrals } }), deps)
  deps.log.info('Viewer is slow, delivery put off', { sid: logName(sid), deferrals, seconds })
  await deps.work.send({ kind: 'deliver', sid, attempt: deferrals }, seconds)
  return 'deferred'
}
