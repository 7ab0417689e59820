/** One worker at a time makes or removes what a kind of a team's tasks runs from. */
import type { TeamTaskKind } from '../../contracts/team-resources.ts'
import type { Clock } from '../clock.ts'
import type { Owner, TeamStore } from './ports.ts'
import type { TeamEnvironment } from './schema.ts'

/** Milliseconds: longer than a function of the queue may run (28 s), so whoever holds it is alive or it has lapsed. */
const LEASE_MS = 30_000

export interface LeaseDeps {
  readonly teams: TeamStore
  readonly clock: Clock
  readonly newId: () => string
}

/** The lease is somebody else's by now, or the environment is another one: nothing more may be done under it. */
export class LeaseLost extends Error {
  override readonly name = 'LeaseLost'
}

export interface Lease {
  /** The item as this lease's holder has left it. */
  readonly team: TeamEnvironment
  /** Writes what was made. @throws LeaseLost */
  remember(change: (team: TeamEnvironment) => TeamEnvironment): Promise<TeamEnvironment>
  release(): Promise<void>
}

/**
 * All of these kinds' leases, or none. `begin` says what the item becomes with them; undefined: they are not wanted any more.
 * Undefined is answered when they are not to be had.
 */
export async function takeLease(
  owner: Owner,
  kinds: readonly TeamTaskKind[],
  begin: (team: TeamEnvironment) => TeamEnvironment | undefined,
  { teams, clock, newId }: LeaseDeps,
): Promise<Lease | undefined> {
  const holder = newId()
  let isMine = false
  const taken = await teams.change(owner.teamId, (current) => {
    const now = clock.now().getTime()
    const isFree =
      current.incarnation === owner.incarnation && kinds.every((kind) => (current.leases[kind]?.until ?? 0) <= now)
    const begun = isFree ? begin(current) : undefined
    isMine = begun !== undefined
    const leases = Object.fromEntries(kinds.map((kind) => [kind, { holder, until: now + LEASE_MS }]))
    return begun && { ...begun, leases: { ...begun.leases, ...leases } }
  })
  if (!taken || !isMine) return undefined

  const isHeld = ({ incarnation, leases }: TeamEnvironment) =>
    incarnation === owner.incarnation && kinds.every((kind) => leases[kind]?.holder === holder)
  let left = taken
  return {
    get team() {
      return left
    },
    async remember(change) {
      let isWritten = false
      const team = await teams.change(owner.teamId, (current) => {
        isWritten = isHeld(current)
        return isWritten ? change(current) : undefined
      })
      if (!team || !isWritten) throw new LeaseLost('another worker has taken over')
      left = team
      return team
    },
    async release() {
      await teams.change(owner.teamId, (current) => {
        if (!isHeld(current)) return undefined
        const others = Object.entries(current.leases).filter(([, lease]) => lease?.holder !== holder)
        return { ...current, leases: Object.fromEntries(others) }
      })
    },
  }
}
