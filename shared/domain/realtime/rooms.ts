/** Rooms: who is to be told of a change. */
import { CONNECTION_TTL_HOURS } from '../../contracts/limits.ts'
import type { Scope } from './batch.ts'
import { roomsOf } from './change-session.ts'
import { type Delivery, deliver } from './deliver.ts'
import { FAN_OUT } from './limits.ts'
import { forEachBounded } from './parallel.ts'
import type { DeliveryDeps, Room } from './ports.ts'
import type { Session } from './session.ts'

type EnterDeps = Pick<DeliveryDeps, 'sessions' | 'clock'>

/** Membership rows outlive a WebSocket (2 h) and are renewed for polling sessions. */
export async function enterRoom(room: Room, sid: string, { sessions, clock }: EnterDeps): Promise<void> {
  await sessions.enter(room, sid, Math.ceil(clock.now().getTime() / 1000) + CONNECTION_TTL_HOURS * 3600)
}

export async function enterRooms(session: Session, deps: EnterDeps): Promise<void> {
  await Promise.all(roomsOf(session).map((room) => enterRoom(room, session.sid, deps)))
}

/** The same items, begun at a random one. */
function rotated<T>(items: readonly T[]): readonly T[] {
  const first = Math.floor(Math.random() * items.length)
  return [...items.slice(first), ...items.slice(0, first)]
}

/**
 * Delivers to every session in the room, each time beginning at another: who runs out of time does not leave out the same ones
 * always. One viewer's trouble is its own: it is logged, the others are served. False: for at
 * least one nothing is certain (its deliverer may have died, or something failed), or `until` has passed before all were
 * begun; whoever is responsible comes again.
 */
export async function tellRoom(
  room: Room,
  scope: Scope,
  deps: DeliveryDeps,
  { until = Number.POSITIVE_INFINITY }: { until?: number } = {},
): Promise<boolean> {
  let isCertain = true
  let cursor: string | undefined
  do {
    const page = await deps.sessions.members(room, cursor)
    await forEachBounded(rotated(page.sids), FAN_OUT, async (sid) => {
      if (deps.clock.now().getTime() >= until) {
        isCertain = false
        return
      }
      const outcome = await tell(sid, scope, deps)
      if (outcome === 'gone') await deps.sessions.leave(room, sid)
      if (outcome === 'busy' || outcome === 'failed') isCertain = false
    })
    cursor = page.cursor
  } while (cursor !== undefined)
  return isCertain
}

async function tell(sid: string, scope: Scope, deps: DeliveryDeps): Promise<Delivery | 'failed'> {
  try {
    return await deliver(sid, scope, deps)
  } catch (error) {
    deps.log.error('Delivery to a session failed', { error })
    return 'failed'
  }
}
