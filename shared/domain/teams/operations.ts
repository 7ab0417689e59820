/**
 * A team's environment as members ask for it: created, stopped, restarted, taken down. Every operation may be repeated and may run
 * beside others; what takes longer than an answer may is left to the queue.
 */
import type { Clock } from '../clock.ts'
import { orderWork, sendEvent, type WorkSender } from '../environments/operations.ts'
import type { EnvironmentStore } from '../environments/ports.ts'
import { isIdle } from '../environments/preview-state.ts'
import { type Environment, expectType, type SyncEnvironment } from '../environments/schema.ts'
import { isFinal } from '../environments/transitions.ts'
import { Conflict, NotFound } from '../errors.ts'
import type { Publish } from '../realtime/publish.ts'
import type { TeamStore } from './ports.ts'
import { repositoryOf, type TeamRepository } from './repository.ts'
import type { TeamEnvironment } from './schema.ts'
import { newSyncRecord, syncIdOf, syncRequested } from './sync-record.ts'

export interface TeamDeps {
  readonly teams: TeamStore
  readonly environments: EnvironmentStore
  readonly publish: Publish
  readonly queue: WorkSender
  readonly clock: Clock
  /** UUIDv7: an incarnation, whose time sorts. */
  readonly newId: () => string
  readonly warn: (message: string, fields: Record<string, unknown>) => void
}

export interface TeamRequest {
  readonly teamId: string
  /** The member who asks. */
  readonly by: { readonly userId: string; readonly userName: string }
  readonly correlationId: string
}

/** Milliseconds between two writes of `lastUsedAt`: how late idleness is noticed at most. */
const TOUCH_EVERY_MS = 60_000
/** Milliseconds `stopTeam` waits for agents to end before it stops workspace sync all the same. */
const STOP_PATIENCE_MS = 5 * 60_000
/** Milliseconds the removal of a team's environment is tried; files may take long to erase. */
const REMOVAL_PATIENCE_MS = 60 * 60_000
/** Seconds until it is looked again whether the agents have ended. */
const LOOK_AGAIN_SECONDS = 5
const PAGE = 100

const noEnvironment = () => new NotFound('Your team has no environment yet')
const isBeingRemoved = () =>
  new Conflict("Your team's environment is being taken down; try again when that is done, in a few minutes")

/**
 * The team's environment, with workspace sync running or on its way: both are made if they are not there. Costs two reads when
 * everything runs. A repository that has changed at the existing server is followed, and sync restarted for it.
 *
 * @throws Conflict while the environment is being removed, and for another repository than the team's.
 */
export async function ensureTeamEnvironment(
  request: TeamRequest & { readonly repository: TeamRepository },
  deps: TeamDeps,
): Promise<{ team: TeamEnvironment; sync: SyncEnvironment; created: boolean }> {
  const { teamId, repository } = request
  const found = await deps.teams.get(teamId)
  if (found?.status === 'removing') throw isBeingRemoved()
  if (!found) {
    const { created, team } = await deps.teams.create(newTeam(request, repositoryOf(null, repository), deps))
    if (team.status === 'removing') throw isBeingRemoved()
    return { team, created, sync: await ensureSync(team, request, deps) }
  }
  const url = repositoryOf(found.repositoryUrl, repository)
  if (url === found.repositoryUrl) return { team: found, created: false, sync: await ensureSync(found, request, deps) }

  const team = await deps.teams.change(teamId, (current) => ({ ...current, repositoryUrl: url }))
  if (!team) throw isBeingRemoved()
  const sync = await ensureSync(team, request, deps)
  const done = await sendEvent(sync, { type: 'restart-requested', member: request.by }, request.correlationId, deps)
  if (done?.entry) await orderWork(done.record, request.correlationId, deps)
  return { team, created: false, sync: done ? expectType(done.record, 'sync') : sync }
}

/** Workspace sync of a team that has an environment, running or on its way; undefined when it has none or is being removed. */
export async function wakeTeam(
  request: TeamRequest,
  deps: TeamDeps,
): Promise<{ team: TeamEnvironment; sync: SyncEnvironment } | undefined> {
  const team = await deps.teams.get(request.teamId)
  if (team?.status !== 'active') return undefined
  await touchTeam(request.teamId, deps)
  return { team, sync: await ensureSync(team, request, deps) }
}

/** Keeps the team from being idle: its files are in use. Written at most once a minute. */
export async function touchTeam(teamId: string, { teams, clock }: Pick<TeamDeps, 'teams' | 'clock'>): Promise<void> {
  const now = clock.now()
  await teams.change(teamId, (team) =>
    now.getTime() - Date.parse(team.lastUsedAt) < TOUCH_EVERY_MS
      ? undefined
      : { ...team, lastUsedAt: now.toISOString() },
  )
}

function newTeam(
  { teamId, by }: TeamRequest,
  repositoryUrl: string | null,
  { clock, newId }: TeamDeps,
): Omit<TeamEnvironment, 'revision'> {
  const now = clock.now().toISOString()
  return {
    teamId,
    incarnation: newId(),
    status: 'active',
    repositoryUrl,
    createdAt: now,
    createdBy: { userId: by.userId, userName: by.userName },
    lastUsedAt: now,
    begun: [],
    accessPoints: {},
    roles: {},
    definitions: {},
    leases: {},
  }
}

async function ensureSync(team: TeamEnvironment, request: TeamRequest, deps: TeamDeps): Promise<SyncEnvironment> {
  const ref = { teamId: team.teamId, id: syncIdOf(team) }
  const record = (await deps.environments.get(ref)) ?? (await createSync(team, request, deps))
  if (!isFinal(record.status) && (record.status !== 'stopping' || record.restart)) return expectType(record, 'sync')
  await touchTeam(team.teamId, deps)
  const done = await sendEvent(record, { type: 'restart-requested', member: request.by }, request.correlationId, deps)
  if (done?.entry) await orderWork(done.record, request.correlationId, deps)
  return expectType(done?.record ?? record, 'sync')
}

async function createSync(team: TeamEnvironment, request: TeamRequest, deps: TeamDeps): Promise<Environment> {
  const { by, correlationId } = request
  const record = newSyncRecord(team, 'sync', {
    at: deps.clock.now().toISOString(),
    by: { userId: by.userId, userName: by.userName },
    correlationId,
  })
  const entry = syncRequested(record, { kind: 'member', userId: by.userId })
  const made = await deps.environments.create({ record, entry })
  if (made.outcome === 'exists') return made.record
  if (made.outcome !== 'created') throw new Error(`a record without slot and key was answered with ${made.outcome}`)
  await Promise.all([orderWork(made.record, correlationId, deps), deps.publish([made.entry])])
  return made.record
}

/**
 * Stops all of the team's containers: its agents at once, workspace sync when they have ended, so that its last commit has their
 * last bytes. @throws NotFound when there is no environment, Conflict while it is being removed.
 */
export async function stopTeam(request: TeamRequest, deps: TeamDeps): Promise<void> {
  const { teamId, by, correlationId } = request
  const team = await activeTeam(teamId, deps)
  await eachRecord(teamId, deps, async (record) => {
    if (record.type === 'sync' || record.backend !== 'docker') return
    // A preview that the next visit would start is to stay stopped as well.
    if (isFinal(record.status) && !isIdle(record)) return
    const done = await sendEvent(record, { type: 'stop-requested', member: by }, correlationId, deps)
    if (done) await orderWork(done.record, correlationId, deps)
  })
  const { incarnation } = team
  const until = deps.clock.now().getTime() + STOP_PATIENCE_MS
  await stopSyncLast({ kind: 'stop-team', teamId, incarnation, userId: by.userId, until, correlationId }, deps)
}

/** The rest of `stopTeam`, repeated until the agents have ended. An agent that somebody has started since ends the stop. */
export async function stopSyncLast(
  work: Extract<Parameters<WorkSender['send']>[0], { kind: 'stop-team' }>,
  deps: Pick<TeamDeps, 'teams' | 'environments' | 'publish' | 'queue' | 'clock' | 'warn'>,
): Promise<void> {
  const { teamId, incarnation, userId, until, correlationId } = work
  const team = await deps.teams.get(teamId)
  if (team?.incarnation !== incarnation || team.status !== 'active') return
  let ending = 0
  let isWanted = false
  await eachRecord(teamId, deps, async (record) => {
    if (record.type === 'sync' || record.backend !== 'docker' || isFinal(record.status)) return
    if (record.status === 'stopping' && !record.restart) ending++
    else isWanted = true
  })
  if (isWanted) return
  if (ending > 0 && deps.clock.now().getTime() < until) return deps.queue.send(work, LOOK_AGAIN_SECONDS)
  const sync = await deps.environments.get({ teamId, id: syncIdOf(team) })
  if (!sync) return
  const done = await sendEvent(sync, { type: 'stop-requested', member: { userId } }, correlationId, deps)
  if (done) await orderWork(done.record, correlationId, deps)
}

/**
 * Restarts workspace sync, and every container of the team that runs. Sync goes first: it commits what is there, and when it is
 * back, what agents have written until their own end. @throws as `stopTeam`.
 */
export async function restartTeam(request: TeamRequest, deps: TeamDeps): Promise<void> {
  const { teamId, by, correlationId } = request
  const team = await activeTeam(teamId, deps)
  const restart = async (record: Environment) => {
    const done = await sendEvent(record, { type: 'restart-requested', member: by }, correlationId, deps)
    if (done?.entry) await orderWork(done.record, correlationId, deps)
  }
  await touchTeam(teamId, deps)
  await restart(
    (await deps.environments.get({ teamId, id: syncIdOf(team) })) ?? (await createSync(team, request, deps)),
  )
  await eachRecord(teamId, deps, async (record) => {
    if (record.type !== 'sync' && record.backend === 'docker' && !isFinal(record.status)) await restart(record)
  })
}

async function activeTeam(teamId: string, { teams }: Pick<TeamDeps, 'teams'>): Promise<TeamEnvironment> {
  const team = await teams.get(teamId)
  if (!team) throw noEnvironment()
  if (team.status === 'removing') throw isBeingRemoved()
  return team
}

/** Every record of the team, newest first; those that are deleted and have not ended yet among them. */
export async function eachRecord(
  teamId: string,
  { environments }: Pick<TeamDeps, 'environments'>,
  visit: (record: Environment) => Promise<void>,
): Promise<void> {
  let cursor: string | undefined
  do {
    const page = await environments.listAllOfTeam(teamId, { limit: PAGE, ...(cursor === undefined ? {} : { cursor }) })
    for (const record of page.records) await visit(record)
    cursor = page.cursor
  } while (cursor !== undefined)
}

/**
 * Takes the team's environment down, after a last commit: its containers and their records, task definitions, roles and access
 * points. Its files stay for the next environment. The queue does it, step by step; until it is done nothing of the team starts.
 * Asking again begins the time anew that it may take. @throws NotFound when there is no environment.
 */
export async function deleteTeamEnvironment(request: TeamRequest, deps: TeamDeps): Promise<TeamEnvironment> {
  const team = await beginRemoval({ ...request, userId: request.by.userId, erase: false }, deps)
  if (!team) throw noEnvironment()
  return team
}

/**
 * Removes a team with all it has: as `deleteTeamEnvironment`, and its files, secrets, chat and settings, also when there is no
 * environment at the moment. For the existing server and operators.
 */
export async function removeTeam(
  { teamId, correlationId }: Pick<TeamRequest, 'teamId' | 'correlationId'>,
  deps: TeamDeps,
): Promise<void> {
  const request = { teamId, correlationId, erase: true } as const
  if (await beginRemoval(request, deps)) return
  // Files of an environment before: they are erased with the means of a new one, that never becomes active.
  const by = { userId: 'covibes', userName: 'Covibes' }
  const team = { ...newTeam({ teamId, by, correlationId }, null, deps), ...removing(undefined, request, deps) }
  await deps.teams.create(team)
  await beginRemoval(request, deps)
}

type RemovalRequest = { teamId: string; correlationId: string; erase: boolean; userId?: string }

async function beginRemoval(request: RemovalRequest, deps: TeamDeps): Promise<TeamEnvironment | undefined> {
  const { teamId, correlationId } = request
  const team = await deps.teams.change(teamId, (current) => ({
    ...current,
    ...removing(current.removal, request, deps),
  }))
  if (!team) return undefined
  try {
    await deps.queue.send({ kind: 'remove-team', teamId, incarnation: team.incarnation, correlationId })
  } catch (error) {
    deps.warn('Removal not queued, left to the reconciler', { teamId, error })
  }
  return team
}

function removing(
  before: TeamEnvironment['removal'],
  { correlationId, erase, userId }: RemovalRequest,
  { clock }: TeamDeps,
): Pick<TeamEnvironment, 'status' | 'removal'> {
  const now = clock.now()
  return {
    status: 'removing',
    removal: {
      requestedAt: now.toISOString(),
      ...(userId === undefined ? {} : { userId }),
      correlationId,
      ...before,
      erase: erase || (before?.erase ?? false),
      deadline: new Date(now.getTime() + REMOVAL_PATIENCE_MS).toISOString(),
      nextStepAt: now.toISOString(),
    },
  }
}
