/**
 * The long poll: the answer of a GET is the delivery. It reads the streams once, then looks at the session item alone until
 * somebody has set `wake`, and ends with a ping, or with a noop when an upgrade or a newer GET asks for it.
 */
import { ENGINE_PING_INTERVAL_MS, POLL_HOLD_MS } from '../../contracts/limits.ts'
import { EVERYTHING, readBatch } from './batch.ts'
import { changeSession } from './change-session.ts'
import { movedTo } from './cursors.ts'
import { MEMBERSHIP_RENEWAL_MS, POLL_STEPS_MS, PROBE_POLL_HOLD_MS } from './limits.ts'
import { NOOP, PING, payloadOf } from './packets.ts'
import type { DeliveryDeps } from './ports.ts'
import { enterRooms } from './rooms.ts'
import { isLive, kept, type Session } from './session.ts'

/** A payload, or the engine.io error that answers it. */
export type PollAnswer = { readonly body: string } | { readonly refused: 'unknown-sid' | 'bad-request' }

export async function holdPoll(sid: string, deps: DeliveryDeps): Promise<PollAnswer> {
  const pollId = deps.newId()
  const startedAt = deps.clock.now().getTime()
  const entered = await changeSession(
    sid,
    (session) =>
      isLive(session) && session.transport === 'polling'
        ? kept({ ...session, poll: { id: pollId, at: startedAt } }, startedAt)
        : session,
    deps,
  )
  if (!isLive(entered)) return { refused: 'unknown-sid' }
  if (entered.transport !== 'polling') return { refused: 'bad-request' }
  await renewMemberships(entered, startedAt, deps)

  let isFirst = true
  for (let step = 0; ; step++) {
    const session = await deps.sessions.get(sid)
    if (!isLive(session)) return { refused: 'unknown-sid' }
    if (session.transport !== 'polling' || session.poll?.id !== pollId) return { body: NOOP }
    if (isFirst || session.wake) {
      const drained = await drain(session, deps)
      if (drained === 'lost-race') continue
      if (drained !== undefined) return { body: drained }
      // Who finds the wake set leaves it at that. It may have been set until just now, for something that this read was too early for.
      isFirst = session.wake
    }
    const now = deps.clock.now().getTime()
    const isProbed = session.probe !== undefined && session.probe.until > now
    if (isProbed && now >= startedAt + PROBE_POLL_HOLD_MS) return { body: NOOP }
    if (now >= startedAt + POLL_HOLD_MS) return { body: PING }
    await deps.sleep(POLL_STEPS_MS[Math.min(step, POLL_STEPS_MS.length - 1)] ?? PROBE_POLL_HOLD_MS)
  }
}

/** The payload, its cursors moved in the same write that takes the wake mark off; undefined when there is nothing. */
async function drain(session: Session, deps: DeliveryDeps): Promise<string | 'lost-race' | undefined> {
  const batch = await readBatch(session, EVERYTHING, deps)
  const now = deps.clock.now().getTime()
  const isEmpty = batch.frames.length === 0 && !batch.more
  if (isEmpty && !session.wake) return undefined
  // Polls that always find something never end with a ping, and nothing else keeps the client from closing.
  const isPingDue = batch.frames.length > 0 && now - session.pingedAt >= ENGINE_PING_INTERVAL_MS
  const next = { ...movedTo(session, batch.end), wake: batch.more, ...(isPingDue ? { pingedAt: now } : {}) }
  if (!(await deps.sessions.put(next))) return 'lost-race'
  const packets = batch.frames.map(({ packet }) => packet)
  return packets.length === 0 ? undefined : payloadOf(isPingDue ? [PING, ...packets] : packets)
}

/** A polling session may live for days; its rows in the rooms expire with CONNECTION_TTL_HOURS unless they are put again. */
async function renewMemberships(session: Session, now: number, deps: DeliveryDeps): Promise<void> {
  if (session.membershipsUntil > now) return
  await enterRooms(session, deps)
  const membershipsUntil = now + MEMBERSHIP_RENEWAL_MS
  await changeSession(session.sid, (current) => ({ ...current, membershipsUntil }), deps)
}
