/** Rooms: who is in them. What they are told stands in fan-out.ts. */
import { CONNECTION_TTL_HOURS } from '../../contracts/limits.ts'
import { roomsOf } from './change-session.ts'
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
