/** What a task of a team runs from: its access points, role and task definition, made when first needed and remembered. */
import { TEAM_MOUNTS, type TeamAccessPoint, type TeamTaskKind } from '../../contracts/team-resources.ts'
import type { EnvironmentStore } from '../environments/ports.ts'
import type { Environment } from '../environments/schema.ts'
import type { Prepared } from '../environments/tasks.ts'
import { type Lease, type LeaseDeps, LeaseLost, takeLease } from './lease.ts'
import { type AccessPoints, NotPossible, type PerAccessPoint, type TaskDefinitions, type TeamRoles } from './ports.ts'
import type { TeamEnvironment } from './schema.ts'
import { syncIdOf } from './sync-record.ts'

export interface PrepareDeps extends LeaseDeps {
  readonly environments: EnvironmentStore
  readonly accessPoints: AccessPoints
  readonly roles: TeamRoles
  readonly definitions: TaskDefinitions
  readonly warn: (message: string, fields: Record<string, unknown>) => void
}

type MadeAccessPoint = NonNullable<TeamEnvironment['accessPoints'][TeamAccessPoint]>

const later = (reason: string): Prepared => ({ outcome: 'later', reason })
const refused = (reason: string): Prepared => ({ outcome: 'refused', reason })

/**
 * What the record's task is run from; costs one read when everything is there. Each step is remembered before the next, and may be
 * repeated: whoever comes after a worker that died goes on where it was. A task definition of an earlier deployment is replaced.
 */
export async function prepareTeamTask(record: Environment, deps: PrepareDeps): Promise<Prepared> {
  const kind = record.type
  const team = await deps.teams.get(record.teamId)
  if (!team) return refused("the team's environment was removed meanwhile")
  if (!mayStart(record, team)) return refused("the team's environment is being taken down")
  const ready = isReady(team, kind, deps) ? team : await make(team, kind, deps)
  if ('outcome' in ready) return ready
  const waiting = kind === 'sync' ? undefined : await waitForRoot(ready, deps)
  if (waiting) return waiting
  const made = ready.definitions[kind]
  if (!made) throw new Error(`team ${team.teamId} is ready for ${kind} without a task definition`)
  return { outcome: 'ready', taskDefinition: made.arn, container: deps.definitions.containerOf(kind) }
}

/** While an environment is removed, the one thing that still runs in it is the task that erases the team's files. */
const mayStart = (record: Environment, team: TeamEnvironment): boolean =>
  team.status === 'active' || record.id === syncIdOf(team, 'erase')

const isReady = (team: TeamEnvironment, kind: TeamTaskKind, { definitions }: PrepareDeps): boolean =>
  team.definitions[kind]?.base === definitions.baseOf(kind) && mountsAll(team.roles[kind], kind)

/** False: made by an earlier version, when tasks of the kind mounted something else. */
const mountsAll = (role: TeamEnvironment['roles'][TeamTaskKind], kind: TeamTaskKind): boolean =>
  role !== undefined && sameNames(role.mounts ?? [kind], accessPointsOf(kind))

const accessPointsOf = (kind: TeamTaskKind): TeamAccessPoint[] =>
  TEAM_MOUNTS[kind].map(({ accessPoint }) => accessPoint)

const sameNames = (one: readonly string[], other: readonly string[]): boolean =>
  one.length === other.length && one.every((name) => other.includes(name))

/** The item with everything of this kind in it, or why it is not there yet. */
async function make(team: TeamEnvironment, kind: TeamTaskKind, deps: PrepareDeps): Promise<TeamEnvironment | Prepared> {
  const begin = (current: TeamEnvironment) =>
    isReady(current, kind, deps) ? undefined : { ...current, begun: [...new Set([...current.begun, kind])] }
  const lease = await takeLease(team, [kind], begin, deps)
  if (!lease) {
    const now = await deps.teams.get(team.teamId)
    return now && isReady(now, kind, deps) ? now : later("the team's environment is being prepared")
  }
  try {
    return await makeUnderLease(lease, kind, deps)
  } catch (error) {
    if (error instanceof NotPossible) return refused(error.message)
    const reason = error instanceof Error ? error.message : String(error)
    if (!(error instanceof LeaseLost)) deps.warn('Team resources not made yet', { teamId: team.teamId, kind, error })
    return later(`preparing the team's environment: ${reason}`)
  } finally {
    await lease.release()
  }
}

async function makeUnderLease(
  lease: Lease,
  kind: TeamTaskKind,
  deps: PrepareDeps,
): Promise<TeamEnvironment | Prepared> {
  const mounts = accessPointsOf(kind)
  for (const name of mounts) await makeAccessPoint(lease, name, deps)
  const made: Partial<Record<TeamAccessPoint, MadeAccessPoint>> = {}
  for (const name of mounts) {
    const accessPoint = await availableAccessPoint(lease, name, deps)
    if (!accessPoint) return later("EFS is making the team's access point")
    made[name] = accessPoint
  }
  let { team } = lease
  let role = team.roles[kind]
  // An earlier version's gets its policy anew; tasks that run with it keep what they have mounted.
  if (!role || !mountsAll(role, kind)) {
    const { arn } = await deps.roles.create(
      kind,
      team,
      each(made, (point) => point.arn),
    )
    const created = { arn, mounts }
    role = created
    team = await lease.remember((current) => ({ ...current, roles: { ...current.roles, [kind]: created } }))
  }
  const definition = await deps.definitions.register(kind, team, {
    accessPointIds: each(made, (point) => point.id),
    roleArn: role.arn,
  })
  team = await lease.remember((current) => ({
    ...current,
    definitions: { ...current.definitions, [kind]: definition },
  }))
  try {
    await deps.definitions.deregisterOthers(kind, team, definition.arn)
  } catch (error) {
    // They cost nothing, and go with the next replacement or with the team.
    deps.warn('Old task definitions not deregistered', { teamId: team.teamId, kind, error })
  }
  return team
}

/** Sees to it that the item names the access point, made now if it was not before. */
async function makeAccessPoint(lease: Lease, name: TeamAccessPoint, deps: PrepareDeps): Promise<void> {
  const { team } = lease
  if (team.accessPoints[name]) return
  // From here on there may be files that somebody has to erase one day.
  await deps.teams.setHasFiles(team.teamId, true)
  await remember(lease, name, await deps.accessPoints.create(name, team))
}

/** Undefined: EFS is still making it. */
async function availableAccessPoint(
  lease: Lease,
  name: TeamAccessPoint,
  deps: PrepareDeps,
): Promise<MadeAccessPoint | undefined> {
  const known = lease.team.accessPoints[name]
  if (!known) throw new Error(`the item of team ${lease.team.teamId} does not name its access point ${name}`)
  if (known.available) return known
  if (!(await deps.accessPoints.isAvailable(known.id))) return undefined
  return remember(lease, name, { ...known, available: true })
}

async function remember(lease: Lease, name: TeamAccessPoint, made: MadeAccessPoint): Promise<MadeAccessPoint> {
  await lease.remember((current) => ({ ...current, accessPoints: { ...current.accessPoints, [name]: made } }))
  return made
}

const each = (
  made: Partial<Record<TeamAccessPoint, MadeAccessPoint>>,
  of: (point: MadeAccessPoint) => string,
): PerAccessPoint => Object.fromEntries(Object.entries(made).map(([name, point]) => [name, of(point)]))

/**
 * The first to mount must be workspace sync: mounting makes the access point's root with the owner that it names, and what EFS
 * gives to folders above that root is not documented. The shared files lie below sync's root.
 */
async function waitForRoot(team: TeamEnvironment, deps: PrepareDeps): Promise<Prepared | undefined> {
  if (team.rootMadeAt !== undefined) return undefined
  const sync = await deps.environments.get({ teamId: team.teamId, id: syncIdOf(team) })
  if (sync?.startedAt === undefined) {
    const why = sync?.reason === undefined ? '' : ` (${sync.reason})`
    return later(`waiting for the team's workspace sync to start${why}`)
  }
  const rootMadeAt = sync.startedAt
  await deps.teams.change(team.teamId, (current) =>
    current.incarnation === team.incarnation ? { ...current, rootMadeAt } : undefined,
  )
  return undefined
}
