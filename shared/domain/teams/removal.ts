/** Taking a team's environment down, one step after the other; each may be repeated, at any time and by anybody. */
import { TEAM_MOUNTS, TEAM_TASK_KINDS } from '../../contracts/team-resources.ts'
import type { Work } from '../../contracts/work.ts'
import { orderWork, sendEvent, type WorkSender } from '../environments/operations.ts'
import type { EnvironmentStore } from '../environments/ports.ts'
import type { Environment } from '../environments/schema.ts'
import { isFinal } from '../environments/transitions.ts'
import type { Publish } from '../realtime/publish.ts'
import { isRestartDue } from './back-off.ts'
import { type LeaseDeps, takeLease } from './lease.ts'
import { eachRecord } from './operations.ts'
import type { AccessPoints, TaskDefinitions, TeamRoles, TeamSecrets } from './ports.ts'
import type { TeamEnvironment } from './schema.ts'
import { newSyncRecord, syncIdOf, syncRequested } from './sync-record.ts'

export interface RemovalDeps extends LeaseDeps {
  readonly environments: EnvironmentStore
  readonly accessPoints: AccessPoints
  readonly roles: TeamRoles
  readonly definitions: TaskDefinitions
  readonly secrets: TeamSecrets
  readonly publish: Publish
  readonly queue: WorkSender
  readonly warn: (message: string, fields: Record<string, unknown>) => void
}

type RemovalWork = Extract<Work, { kind: 'remove-team' }>
type Removing = TeamEnvironment & { readonly removal: NonNullable<TeamEnvironment['removal']> }

/** Seconds until it is looked again, while containers end and after something failed. */
const LOOK_AGAIN_SECONDS = 5
const AFTER_FAILURE_SECONDS = 15
/** Milliseconds a step may take until another message may take it over: a function of the queue runs at most 28 s. */
const STEP_MS = 30_000
/** Milliseconds after which a step takes no further record: thousands may have gathered. */
const RECORDS_MS = 15_000
/** Milliseconds a queue may be early by its own clock. */
const SLACK_MS = 1_000
/** Pages of settings (chat) deleted in one step. */
const SETTINGS_PAGES = 20

/** Not finished in its time: the message ends as a dead letter. Asking for the removal again begins anew. */
export class RemovalGivenUp extends Error {
  override readonly name = 'RemovalGivenUp'
}

const isRemoving = (team: TeamEnvironment): team is Removing => team.status === 'removing' && team.removal !== undefined

/**
 * One look at an environment that is being removed: does what can be done now and queues the next look, until nothing is left. One
 * chain of messages is at work: a message that comes before the next look is due is a repeat. @throws RemovalGivenUp
 */
export async function removeTeamStep(work: RemovalWork, deps: RemovalDeps): Promise<void> {
  const team = await claimStep(work, deps)
  if (!team) return
  const again = (reason: string, seconds: number) => lookAgain(team, work, reason, seconds, deps)
  try {
    const waiting = await step(team, deps)
    if (waiting !== undefined) await again(waiting, LOOK_AGAIN_SECONDS)
  } catch (error) {
    deps.warn('Step of a removal failed, tried again', { teamId: team.teamId, error })
    await again(error instanceof Error ? error.message : String(error), AFTER_FAILURE_SECONDS)
  }
}

async function claimStep({ teamId, incarnation }: RemovalWork, deps: RemovalDeps): Promise<Removing | undefined> {
  let isMine = false
  const team = await deps.teams.change(teamId, (current) => {
    const now = deps.clock.now().getTime()
    isMine = current.incarnation === incarnation && isRemoving(current) && Date.parse(current.removal.nextStepAt) <= now
    if (!isMine || !isRemoving(current)) return undefined
    if (Date.parse(current.removal.deadline) < now) {
      const why = current.removal.reason ?? 'nothing was ever done'
      throw new RemovalGivenUp(`The environment of team ${teamId} is not removed in its time; last: ${why}`)
    }
    return { ...current, removal: { ...current.removal, nextStepAt: new Date(now + STEP_MS).toISOString() } }
  })
  return isMine && team && isRemoving(team) ? team : undefined
}

async function lookAgain(
  { incarnation, teamId }: Removing,
  work: RemovalWork,
  reason: string,
  seconds: number,
  deps: RemovalDeps,
): Promise<void> {
  const due = deps.clock.now().getTime() + seconds * 1000 - SLACK_MS
  await deps.teams.change(teamId, (current) =>
    current.incarnation === incarnation && isRemoving(current)
      ? { ...current, removal: { ...current.removal, reason, nextStepAt: new Date(due).toISOString() } }
      : undefined,
  )
  await deps.queue.send(work, seconds)
}

/** Answers what it waits for; undefined: everything is gone. */
async function step(team: Removing, deps: RemovalDeps): Promise<string | undefined> {
  const agents = await endContainers(team, (record) => record.type !== 'sync', deps)
  if (agents > 0) return `waiting for ${agents} ${agents === 1 ? 'container' : 'containers'} to end`
  const syncs = await endContainers(team, ({ id }) => id === syncIdOf(team), deps)
  if (syncs > 0) return 'waiting for workspace sync to end, after a last commit'
  if (team.removal.erase) {
    const waiting = await eraseFiles(team, deps)
    if (waiting !== undefined) return waiting
  }
  if (!(await removeResources(team, deps))) return 'waiting for what was still being made'
  if (team.removal.erase) {
    await deps.secrets.deleteAll(team.teamId)
    if (!(await removeSettings(team.teamId, deps))) return 'removing the chat'
  }
  await deps.teams.remove(team)
  return undefined
}

/** Deletes these records and answers how many are still there: a record goes when its task has ended. */
async function endContainers(
  team: Removing,
  isMeant: (record: Environment) => boolean,
  deps: RemovalDeps,
): Promise<number> {
  const { erase, userId, correlationId } = team.removal
  const until = deps.clock.now().getTime() + RECORDS_MS
  let remaining = 0
  await eachRecord(team.teamId, deps, async (record) => {
    // What the existing server runs is not of this environment; with the team itself, the pin of it goes.
    if (!isMeant(record) || (record.backend === 'ssh' && !erase)) return
    if (deps.clock.now().getTime() > until) {
      remaining++
      return
    }
    const event =
      userId === undefined
        ? ({ type: 'delete-ordered', reason: 'the team was removed' } as const)
        : ({ type: 'delete-requested', member: { userId } } as const)
    const done = record.deletedAt ? undefined : await sendEvent(record, event, correlationId, deps)
    if (done?.entry) await orderWork(done.record, correlationId, deps)
    if (record.backend === 'ssh') {
      const gone = { type: 'task-vanished', reason: 'the team was removed' } as const
      await sendEvent(record, gone, correlationId, deps)
    }
    if (await deps.environments.get(record)) remaining++
  })
  return remaining
}

/** Runs workspace sync once more, to erase every file of the team; nothing but a task can reach them. */
async function eraseFiles(team: Removing, deps: RemovalDeps): Promise<string | undefined> {
  const { teamId, createdBy, removal } = team
  const ref = { teamId, id: syncIdOf(team, 'erase') }
  const record = await deps.environments.get(ref)
  if (removal.erasedAt === undefined && (await deps.teams.hasFiles(teamId))) {
    const at = deps.clock.now()
    if (!record) {
      const first = newSyncRecord(team, 'erase', {
        at: at.toISOString(),
        by: createdBy,
        correlationId: removal.correlationId,
      })
      const made = await deps.environments.create({
        record: first,
        entry: syncRequested(first, { kind: 'control-plane' }),
      })
      if (made.outcome === 'created') {
        await Promise.all([orderWork(made.record, removal.correlationId, deps), deps.publish([made.entry])])
      }
      return 'erasing the files'
    }
    if (!isFinal(record.status)) return `erasing the files${record.reason === undefined ? '' : `: ${record.reason}`}`
    if (record.status !== 'completed') {
      if (isRestartDue(record, at)) {
        const done = await sendEvent(record, { type: 'start-ordered' }, removal.correlationId, deps)
        if (done?.entry) await orderWork(done.record, removal.correlationId, deps)
      }
      return `the files could not be erased, trying again: ${record.reason ?? record.status}`
    }
    await deps.teams.setHasFiles(teamId, false)
  }
  if (removal.erasedAt === undefined) {
    const erasedAt = deps.clock.now().toISOString()
    await deps.teams.change(teamId, (current) =>
      current.incarnation === team.incarnation && isRemoving(current)
        ? { ...current, removal: { ...current.removal, erasedAt } }
        : undefined,
    )
  }
  if (record) await sendEvent(record, { type: 'delete-ordered', reason: 'the files are erased' }, undefined, deps)
  return undefined
}

/** Definitions first, then roles, then access points: nothing that is left names what is gone. False: somebody is still making some. */
async function removeResources(team: Removing, deps: RemovalDeps): Promise<boolean> {
  const lease = await takeLease(team, TEAM_TASK_KINDS, (current) => current, deps)
  if (!lease) return false
  try {
    const { begun, accessPoints } = lease.team
    for (const kind of TEAM_TASK_KINDS.filter((each) => begun.includes(each))) {
      await deps.definitions.deregisterOthers(kind, team)
      await deps.roles.delete(kind, team)
      // One whose creation was never answered is found by its token: creating it again answers it.
      for (const { accessPoint } of TEAM_MOUNTS[kind]) {
        const { id } = accessPoints[accessPoint] ?? (await deps.accessPoints.create(accessPoint, team))
        await deps.accessPoints.delete(id)
      }
    }
    return true
  } finally {
    await lease.release()
  }
}

async function removeSettings(teamId: string, { teams }: RemovalDeps): Promise<boolean> {
  for (let page = 0; page < SETTINGS_PAGES; page++) if (await teams.removeSettings(teamId)) return true
  return false
}
