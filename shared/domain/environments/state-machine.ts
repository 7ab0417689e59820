/**
 * What happens to a record, decided in one place and without side effects: record + event → change, or nothing. The store
 * commits the change conditionally; everything that wants a status to change sends an event here.
 */

import { LINK_TICKET_TTL_MS, MAX_START_ATTEMPTS } from '../../contracts/limits.ts'
import type { ServerEvent } from '../../contracts/socket-events.ts'
import { actorOf, type EnvironmentEvent, type EnvironmentEventType } from './events.ts'
import { end, NEVER_STARTED, nextGeneration, type Patch, requestStop } from './generations.ts'
import type { Change } from './ports.ts'
import { addressOf, isIdle, toldOf, withIdle, withReport, withVisibility } from './preview-state.ts'
import type { Environment } from './schema.ts'
import { reported, saidOf } from './sync-report.ts'
import { describeTaskEnd, hasEnded, type ObservedTask } from './task-end.ts'
import { agentViewStatus, canMove, isFinal } from './transitions.ts'

export interface Moment {
  readonly now: Date
  readonly correlationId: string
}

/** Applies `event` to `record`; undefined when it changes nothing (a repeat, a late or foreign event, a final record). */
export function applyEvent(record: Environment, event: EnvironmentEvent, moment: Moment): Change | undefined {
  const patch = decide(record, event, moment.now)
  if (!patch) return undefined
  const { remove, slots, ...fields } = patch
  const to = fields.status ?? record.status
  const isNextGeneration = fields.generation === record.generation + 1 && to === 'requested'
  if (to !== record.status && !canMove(record.status, to) && !isNextGeneration)
    throw new Error(`illegal transition ${record.status} → ${to} by ${event.type}`)

  const next = merge(record, fields, moment.now)
  const told = tell(record, next, event.type)
  return {
    next,
    entry: {
      at: moment.now.toISOString(),
      actor: actorOf(event),
      cause: event.type,
      correlationId: moment.correlationId,
      ...(next.reason !== undefined && next.reason !== record.reason ? { reason: next.reason } : {}),
      ...(told ? { event: told } : {}),
    },
    ...(remove ? { remove } : {}),
    ...(slots === undefined ? {} : { slots }),
  }
}

function merge(record: Environment, patch: Omit<Patch, 'remove' | 'slots'>, now: Date): Environment {
  const next: Record<string, unknown> = {
    ...record,
    ...patch,
    revision: record.revision + 1,
    updatedAt: now.toISOString(),
  }
  for (const key of Object.keys(next)) if (next[key] === undefined) delete next[key]
  return next as Environment
}

function decide(record: Environment, event: EnvironmentEvent, now: Date): Patch | undefined {
  const { status } = record
  if (isFinal(status)) {
    switch (event.type) {
      case 'delete-requested':
      case 'delete-ordered':
        return { deletedAt: now.toISOString(), remove: true }
      case 'restart-requested':
        return {
          ...nextGeneration(record, now),
          restarts: undefined,
          ...(event.slots === undefined ? {} : { slots: event.slots }),
        }
      case 'start-ordered': {
        const reason = `started again after: ${record.reason ?? record.status}`
        return { ...nextGeneration(record, now), restarts: (record.restarts ?? 0) + 1, reason }
      }
      case 'wake-ordered':
        return isIdle(record) ? { ...nextGeneration(record, now), restarts: undefined } : undefined
      case 'stop-requested':
        // Whoever stops it does not want the next visit to start it.
        return isIdle(record) ? withIdle(record, {}, false) : undefined
      case 'visibility-set':
        return withVisibility(record, event.isPublic)
      default:
        return undefined
    }
  }

  switch (event.type) {
    case 'start-claimed':
      // A later attempt, or the first: but never a second ticket beside one that waits or was used.
      if (status !== 'requested' && status !== 'starting') return undefined
      if (record.task || record.ticket || record.linkKeyHash) return undefined
      return {
        status: 'starting',
        claimedAt: now.toISOString(),
        ticket: { hash: event.ticketHash, expiresAt: now.getTime() + LINK_TICKET_TTL_MS },
      }

    case 'task-accepted':
      if (record.task) return undefined
      return { task: { arn: event.taskArn, version: 0 } }

    case 'start-delayed':
      if (record.task || record.reason === event.reason || (status !== 'requested' && status !== 'starting'))
        return undefined
      return { reason: event.reason }

    case 'start-refused': {
      if (record.task || event.attempt !== record.attempt) return undefined
      if (record.stopRequest) return end(record, now, { status: 'killed', reason: NEVER_STARTED })
      if (status === 'starting' && event.retry && record.attempt < MAX_START_ATTEMPTS)
        return {
          attempt: record.attempt + 1,
          ticket: undefined,
          claimedAt: now.toISOString(),
          reason: `waiting to start again (try ${record.attempt + 1} of ${MAX_START_ATTEMPTS}): ${event.reason}`,
        }
      return end(record, now, { status: 'failed', reason: event.reason })
    }

    case 'start-abandoned':
      return record.task ? undefined : end(record, now, { status: 'failed', reason: event.reason })

    case 'task-observed':
      return observe(record, event.task, now)

    case 'task-vanished':
      return end(
        record,
        now,
        record.stopRequest
          ? { status: 'killed', reason: record.stopRequest.reason ?? 'stopped on request' }
          : { status: 'failed', reason: record.exitReport?.reason ?? event.reason },
      )

    case 'stop-requested': {
      const stop = requestStop(record, { userId: event.member.userId }, now)
      return isIdle(record) ? { ...stop, ...withIdle(record, stop ?? {}, false) } : stop
    }

    case 'stop-ordered': {
      // Who has asked for a restart wants it to run.
      const stop = status === 'stopping' ? undefined : requestStop(record, { reason: event.reason }, now)
      return stop && event.isIdle ? { ...stop, ...withIdle(record, stop, true) } : stop
    }

    case 'start-ordered':
      return undefined

    case 'wake-ordered':
      if (!isIdle(record) || record.deletedAt || record.restart) return undefined
      return { restart: { at: now.toISOString() }, ...withIdle(record, {}, false) }

    case 'delete-requested':
    case 'delete-ordered': {
      if (record.deletedAt) return undefined
      const by = event.type === 'delete-requested' ? { userId: event.member.userId } : { reason: event.reason }
      const stop = requestStop(record, by, now) ?? {}
      return { ...stop, deletedAt: now.toISOString(), ...(stop.status && isFinal(stop.status) ? { remove: true } : {}) }
    }

    case 'restart-requested': {
      if (record.deletedAt || record.restart || status === 'requested' || status === 'starting') return undefined
      const restart = { userId: event.member.userId, at: now.toISOString() }
      return { ...requestStop(record, { userId: event.member.userId }, now), restart }
    }

    case 'stop-failed':
      if (status !== 'stopping' || record.reason === event.reason) return undefined
      return { reason: event.reason }

    case 'ticket-used':
      return { ticket: undefined, linkKeyHash: event.keyHash }

    case 'exit-reported': {
      if (record.exitReport) return undefined
      const { exitCode, signal, reason } = event.exit
      return { exitReport: { exitCode, ...(signal ? { signal } : {}), ...(reason ? { reason } : {}) } }
    }

    case 'health-reported':
      if (record.health?.status === event.status && record.health.detail === event.detail) return undefined
      return { health: { status: event.status, ...(event.detail ? { detail: event.detail } : {}) } }

    case 'sync-reported': {
      const sync = record.type === 'sync' ? reported(record.sync, event.report, event.at ?? now) : undefined
      return sync && { sync }
    }

    case 'preview-reported':
      return withReport(record, event.report, event.at ?? now)

    case 'visibility-set':
      return withVisibility(record, event.isPublic)
  }
}

function observe(record: Environment, task: ObservedTask, now: Date): Patch | undefined {
  if (record.task && (record.task.arn !== task.arn || record.task.version >= task.version)) return undefined
  const address = addressOf(record, task)
  const seen = { task: { arn: task.arn, version: task.version }, ...address }

  // The end of a task that ran says that it ran: the record takes both steps, so that a lost or late RUNNING leaves the same
  // ledger. The version stays, so that the same event goes on to the second step.
  const ran = task.lastStatus === 'RUNNING' || (hasEnded(task) && task.startedAt !== undefined)
  if (ran && (record.status === 'starting' || record.status === 'requested')) {
    const running = { startedAt: task.startedAt ?? now.toISOString(), reason: undefined }
    // `requested` is claimed before RunTask, so a task of it means a claim that was taken back; catch up first.
    if (record.status === 'requested') return { status: 'starting', claimedAt: now.toISOString() }
    return { status: 'running', ...running, ...(hasEnded(task) ? {} : seen) }
  }
  if (hasEnded(task)) return { ...seen, ...end(record, now, describeTaskEnd(record, task)) }
  // The event came before RunTask's answer, or that answer was lost: the task is this attempt's all the same.
  if (!record.task) return { task: { arn: task.arn, version: 0 }, ...address }
  return address.preview ? seen : undefined
}

/** What the team's members are told of a change. Creation is told by the operation that creates. */
function tell(before: Environment, after: Environment, cause: EnvironmentEventType): ServerEvent | undefined {
  if (after.type === 'sync') return cause === 'sync-reported' ? saidOf(before, after) : undefined
  if (after.type === 'preview') return toldOf(before, after)
  if (before.deletedAt) return undefined
  if (cause === 'delete-requested' || cause === 'delete-ordered') return ['agent-deleted', { agentId: after.id }]
  const status = agentViewStatus(after.status)
  if (status === agentViewStatus(before.status)) return undefined
  return [
    'agent-status',
    {
      agentId: after.id,
      status,
      timestamp: after.updatedAt,
      ...(after.reason === undefined ? {} : { message: after.reason }),
      ...(after.exitCode === undefined ? {} : { exitCode: after.exitCode }),
    },
  ]
}
