/**
 * Once a minute: records and tasks are held against each other (invariant 3), whatever was lost in between. Every step is an
 * event or an order that may be given again; nothing here decides a status.
 */
import { START_DEADLINE_MS } from '../../contracts/limits.ts'
import { isWanted, type ObserveDeps, observeTask, sendEvent, startOf } from './operations.ts'
import type { Environment } from './schema.ts'
import { type DescribedTask, parseStartedBy, startedByOf, type TaskReader } from './tasks.ts'
import { LIVE_STATUSES } from './transitions.ts'

/** Milliseconds in which the ordinary way (queue, RunTask, event) is left to do its work before the reconciler looks. */
export const SETTLING_MS = 45_000

export type ReconcileDeps = Omit<ObserveDeps, 'tasks'> & { readonly tasks: TaskReader & ObserveDeps['tasks'] }
export interface Reconciled {
  readonly records: number
  readonly tasks: number
  readonly orphansStopped: number
}

export async function reconcile(deps: ReconcileDeps): Promise<Reconciled> {
  // Tasks first: a task that is listed was started by a record that exists by now (intent before effect).
  const running = await deps.tasks.describe(await deps.tasks.listRunning())
  const records = await liveRecords(deps)
  const known = new Map(running.tasks.map((task) => [task.arn, task]))
  const byRecord = new Map(running.tasks.map((task) => [task.startedBy ?? '', task]))

  const unlisted = records.flatMap(({ task }) => (task && !known.has(task.arn) ? [task.arn] : []))
  const others = await deps.tasks.describe(unlisted)
  for (const task of others.tasks) known.set(task.arn, task)
  const missing = new Set([...others.missing, ...running.missing])

  for (const record of records) await reconcileRecord(record, { known, byRecord, missing }, deps)
  const orphansStopped = await stopOrphans(running.tasks, deps)
  return { records: records.length, tasks: running.tasks.length, orphansStopped }
}

/** Of all teams. */
export async function liveRecords({ environments }: Pick<ReconcileDeps, 'environments'>): Promise<Environment[]> {
  const records: Environment[] = []
  for (const status of LIVE_STATUSES) {
    let cursor: string | undefined
    do {
      const page = await environments.listByStatus(status, cursor === undefined ? {} : { cursor })
      records.push(...page.records.filter(({ backend }) => backend === 'docker'))
      cursor = page.cursor
    } while (cursor !== undefined)
  }
  return records
}

interface Tasks {
  readonly known: ReadonlyMap<string, DescribedTask>
  readonly byRecord: ReadonlyMap<string, DescribedTask>
  readonly missing: ReadonlySet<string>
}

async function reconcileRecord(
  record: Environment,
  { known, byRecord, missing }: Tasks,
  deps: ReconcileDeps,
): Promise<void> {
  const { teamId, id, generation, correlationId } = record
  const work = { teamId, environmentId: id, generation, correlationId }
  const age = deps.clock.now().getTime() - Date.parse(record.updatedAt)
  const asked = record.claimedAt ?? record.requestedAt ?? record.createdAt
  const startAge = deps.clock.now().getTime() - Date.parse(asked)
  const task = record.task ? known.get(record.task.arn) : byRecord.get(startedByOf(record))

  if (task) {
    await observeTask(task, deps)
    if (record.status === 'starting' && startAge > START_DEADLINE_MS && task.lastStatus !== 'RUNNING') {
      const minutes = START_DEADLINE_MS / 60_000
      await sendEvent(
        record,
        { type: 'task-vanished', reason: `the task was not running after ${minutes} minutes (${task.lastStatus})` },
        correlationId,
        deps,
      )
    } else if (record.status === 'stopping' && age > SETTLING_MS) {
      await deps.queue.send({ kind: 'stop-environment', ...work })
    }
    return
  }
  if (record.task) {
    if (missing.has(record.task.arn))
      await sendEvent(record, { type: 'task-vanished', reason: 'ECS no longer knows the task' }, correlationId, deps)
    return
  }
  if (age < SETTLING_MS) return
  // No task, and nobody seems to be at it.
  if (record.status === 'stopping')
    await sendEvent(record, { type: 'task-vanished', reason: 'no task was ever started' }, correlationId, deps)
  else if (startAge > START_DEADLINE_MS)
    await sendEvent(
      record,
      { type: 'start-abandoned', reason: record.reason ?? 'ECS never answered' },
      correlationId,
      deps,
    )
  else await deps.queue.send(startOf(record))
}

async function stopOrphans(tasks: readonly DescribedTask[], deps: ReconcileDeps): Promise<number> {
  let stopped = 0
  for (const task of tasks) {
    const ref = parseStartedBy(task.startedBy)
    if (!ref || task.desiredStatus !== 'RUNNING') continue
    if (isWanted(task, ref, await deps.environments.get(ref))) continue
    await deps.tasks.stop(task.arn, 'no record wants this task')
    stopped++
  }
  return stopped
}
