/** Start, stop and observe: what is done to the world around the state machine. Every one may be run again at any point. */

import { MAX_UNCLEAR_REPEATS } from '../../contracts/limits.ts'
import { CONTAINER_ENV } from '../../contracts/link.ts'
import type { Work } from '../../contracts/work.ts'
import type { Clock } from '../clock.ts'
import type { LedgerEntry } from '../ledger/schema.ts'
import type { Publish } from '../realtime/publish.ts'
import type { EnvironmentEvent } from './events.ts'
import type { Committed, EnvironmentStore } from './ports.ts'
import type { Environment, EnvironmentRef } from './schema.ts'
import { applyEvent } from './state-machine.ts'
import { hasEnded } from './task-end.ts'
import {
  clientTokenOf,
  type DescribedTask,
  type PrepareTask,
  parseStartedBy,
  startedByOf,
  type TaskRunner,
  type TaskStopper,
} from './tasks.ts'
import { credentialHash, ticketOf } from './tickets.ts'
import { isFinal } from './transitions.ts'

type GenerationRef = EnvironmentRef & { readonly generation: number }

export interface ChangeDeps {
  readonly environments: EnvironmentStore
  readonly publish: Publish
  readonly clock: Clock
}

/** Sends one event to a record of this generation, and tells the world when it changed something. */
export async function sendEvent(
  ref: GenerationRef,
  event: EnvironmentEvent,
  correlationId: string | undefined,
  { environments, publish, clock }: ChangeDeps,
): Promise<Committed | undefined> {
  const done = await environments.change(ref, (record) =>
    record.generation === ref.generation
      ? applyEvent(record, event, { now: clock.now(), correlationId: correlationId ?? record.correlationId })
      : undefined,
  )
  if (done?.entry) await publish([done.entry])
  return done
}

export interface StartDeps extends ChangeDeps {
  readonly tasks: TaskRunner & TaskStopper
  readonly prepare: PrepareTask
  readonly linkSecret: () => Promise<string>
  readonly queue: WorkSender
}
/** `delaySeconds` at most 900 (SQS). */
export interface WorkSender {
  send(work: Work, delaySeconds?: number): Promise<void>
}

type StartWork = Extract<Work, { kind: 'start-environment' }>

/**
 * Brings the task of the record's current attempt up: makes sure that its team has what it runs from, claims the attempt, then
 * calls RunTask with the attempt's token. A record that has a task, has ended, or is of another generation is left alone.
 */
export async function startEnvironment(work: StartWork, deps: StartDeps): Promise<void> {
  const ref: GenerationRef = { teamId: work.teamId, id: work.environmentId, generation: work.generation }
  const waiting = await deps.environments.get(ref)
  if (waiting?.generation !== ref.generation || waiting.task) return
  if (waiting.status !== 'requested' && waiting.status !== 'starting') return
  // Before the claim: the ticket's ten minutes are the container's, not those of what is made for it.
  const prepared = await deps.prepare(waiting)
  if (prepared.outcome === 'later') return delayStart(ref, work, prepared.reason, deps)
  if (prepared.outcome === 'refused') {
    const event = { type: 'start-refused', attempt: waiting.attempt, reason: prepared.reason, retry: false } as const
    await sendEvent(ref, event, work.correlationId, deps)
    return
  }
  const secret = await deps.linkSecret()
  const claimed = await deps.environments.change(ref, (record) =>
    record.generation === ref.generation
      ? applyEvent(
          record,
          { type: 'start-claimed', ticketHash: credentialHash(ticketOf(record, secret)) },
          { now: deps.clock.now(), correlationId: work.correlationId },
        )
      : undefined,
  )
  if (claimed?.entry) await deps.publish([claimed.entry])
  const record = claimed?.record
  if (!record || record.generation !== ref.generation || record.status !== 'starting' || record.task) return

  const started = await deps.tasks.run({
    kind: record.type,
    clientToken: clientTokenOf(record),
    startedBy: startedByOf(record),
    taskDefinition: prepared.taskDefinition,
    container: prepared.container,
    size: record.size,
    environment: {
      [CONTAINER_ENV.environment]: startedByOf(record),
      [CONTAINER_ENV.ticket]: ticketOf(record, secret),
    },
  })
  switch (started.outcome) {
    case 'accepted':
      return accept(ref, started.taskArn, work, deps)
    case 'refused': {
      const event = {
        type: 'start-refused',
        attempt: record.attempt,
        reason: started.reason,
        retry: started.retry,
      } as const
      const done = await sendEvent(ref, event, work.correlationId, deps)
      if (done?.entry && done.record.status === 'starting')
        await deps.queue.send({ ...work, repeat: 0 }, backOffSeconds(done.record.attempt))
      return
    }
    case 'too-early':
      return delayStart(ref, work, started.reason, deps)
    case 'unclear':
      if (work.repeat + 1 < MAX_UNCLEAR_REPEATS)
        return deps.queue.send({ ...work, repeat: work.repeat + 1 }, backOffSeconds(work.repeat + 1))
      await sendEvent(
        ref,
        { type: 'start-abandoned', reason: `ECS did not say whether it started the task: ${started.reason}` },
        work.correlationId,
        deps,
      )
  }
}

/** Tries again later, and says why on the record. The reconciler ends a start that takes too long, with that reason. */
async function delayStart(ref: GenerationRef, work: StartWork, reason: string, deps: StartDeps): Promise<void> {
  await sendEvent(ref, { type: 'start-delayed', reason }, work.correlationId, deps)
  await deps.queue.send({ ...work, waits: work.waits + 1 }, Math.min(backOffSeconds(work.waits + 1), MAX_WAIT_SECONDS))
}

/** Between two looks whether what a start waits for is there. */
const MAX_WAIT_SECONDS = 15

/** The work that brings a requested record's task up. */
export const startOf = ({ teamId, id, generation, correlationId }: Environment): Work => ({
  kind: 'start-environment',
  teamId,
  environmentId: id,
  generation,
  correlationId,
  repeat: 0,
  waits: 0,
})

const stopOf = ({ teamId, id, generation }: Environment, correlationId: string): Work => ({
  kind: 'stop-environment',
  teamId,
  environmentId: id,
  generation,
  correlationId,
})

/**
 * Queues what a record's status asks for: the start of one that is requested, the stop of one that is stopping. What cannot be
 * queued is the reconciler's, within its cycle: the record says what is wanted.
 */
export async function orderWork(
  record: Environment,
  correlationId: string,
  { queue, warn }: { queue: WorkSender; warn: (message: string, fields: Record<string, unknown>) => void },
): Promise<void> {
  if (record.backend !== 'docker') return
  try {
    if (record.status === 'requested') await queue.send(startOf(record))
    if (record.status === 'stopping') await queue.send(stopOf(record, correlationId))
  } catch (error) {
    const message = record.status === 'requested' ? 'Start not queued' : 'Stop not queued'
    warn(`${message}, left to the reconciler`, { error })
  }
}

/** 2, 4, 8 … seconds, at most a minute. */
const backOffSeconds = (tries: number): number => Math.min(2 ** tries, 60)

async function accept(
  ref: GenerationRef,
  taskArn: string,
  { correlationId }: { correlationId: string },
  deps: StartDeps,
): Promise<void> {
  const done = await sendEvent(ref, { type: 'task-accepted', taskArn }, correlationId, deps)
  const record = done?.record
  const wanted = record?.generation === ref.generation && record.status !== 'stopping' && !isFinal(record.status)
  if (!wanted) await deps.tasks.stop(taskArn, 'stopped while it was being started')
}

export type StopDeps = ChangeDeps & { readonly tasks: TaskStopper }

/** Orders ECS to stop the task of a record that is `stopping`. A refusal is kept as the reason and thrown, to be tried again. */
export async function stopEnvironment(
  work: Extract<Work, { kind: 'stop-environment' }>,
  deps: StopDeps,
): Promise<void> {
  const ref: GenerationRef = { teamId: work.teamId, id: work.environmentId, generation: work.generation }
  const record = await deps.environments.get(ref)
  // Without a task there is nothing to stop yet: whoever is starting it sees `stopping` when ECS has answered.
  if (record?.generation !== ref.generation || record.status !== 'stopping' || !record.task) return
  try {
    await deps.tasks.stop(record.task.arn, 'stopped on request')
  } catch (error) {
    const reason = `ECS refused to stop the task: ${error instanceof Error ? error.message : String(error)}`
    await sendEvent(ref, { type: 'stop-failed', reason }, work.correlationId, deps)
    throw error
  }
}

/** Lines that operators' dashboards of the existing server look for (integration guide, logging). */
export interface ContainerLog {
  agentStarted(record: Environment): void
  containerError(record: Environment): void
}
export type ObserveDeps = StopDeps & { readonly log: ContainerLog; readonly queue: WorkSender }

/**
 * Applies what ECS says of a task to its record, as many steps as that takes. A running task that no record wants is stopped
 * (invariant 3). Tasks that are none of ours are left alone.
 */
export async function observeTask(task: DescribedTask, deps: ObserveDeps): Promise<void> {
  const ref = parseStartedBy(task.startedBy)
  if (!ref) return
  const entries: LedgerEntry[] = []
  let record: Environment | undefined
  // requested → starting → running → ended: no task takes a record through more steps.
  for (let step = 0; step < 4; step++) {
    const done = await deps.environments.change(ref, (current) =>
      current.generation === ref.generation
        ? applyEvent(
            current,
            { type: 'task-observed', task },
            { now: deps.clock.now(), correlationId: current.correlationId },
          )
        : undefined,
    )
    record = done?.record
    if (!done?.entry) break
    entries.push(done.entry)
    if (done.entry.environment?.to === 'running' && done.record.type === 'agent') deps.log.agentStarted(done.record)
    if (done.entry.environment?.to === 'failed') deps.log.containerError(done.record)
  }
  if (entries.length > 0) await deps.publish(entries)
  if (record?.type === 'sync' && entries.some(({ environment }) => environment?.to === 'running'))
    await startWaiting(record.teamId, deps)
  // The end of one generation was the beginning of the next. A start that is not queued here is the reconciler's.
  if (record?.status === 'requested' && record.generation > ref.generation) await deps.queue.send(startOf(record))
  if (hasEnded(task) || task.desiredStatus !== 'RUNNING') return
  if (!isWanted(task, ref, record)) await deps.tasks.stop(task.arn, 'no record wants this task')
  // Its start and the wish to stop it crossed: whoever wished found no task to stop.
  else if (record?.status === 'stopping' && entries.length > 0) await deps.tasks.stop(task.arn, 'stopped on request')
}

/** The others wait with their first start for workspace sync: they need not wait for their next look. */
async function startWaiting(teamId: string, { environments, queue }: ObserveDeps): Promise<void> {
  const { records } = await environments.listAllOfTeam(teamId, { limit: 100 })
  const waiting = records.filter(
    ({ type, status, backend }) => type !== 'sync' && status === 'requested' && backend === 'docker',
  )
  for (const record of waiting) await queue.send(startOf(record))
}

/** A task is wanted while its record is live, of its generation, and has no other task. */
export const isWanted = (task: { arn: string }, ref: GenerationRef, record: Environment | undefined): boolean =>
  record !== undefined &&
  record.generation === ref.generation &&
  !isFinal(record.status) &&
  (record.task === undefined || record.task.arn === task.arn)
