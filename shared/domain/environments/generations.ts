/** The ways a generation of a record ends and the next one begins: the fields that these change. */
import type { Change } from './ports.ts'
import { anew, atEnd } from './preview-state.ts'
import type { Environment, PreviewEnvironment, Status, SyncEnvironment } from './schema.ts'

/** Milliseconds a generation has to run for its start to count as one that held out. */
export const HELD_OUT_MS = 10 * 60_000

/** A field given as undefined is taken off the record. */
export type Patch = { readonly [K in keyof Environment]?: Environment[K] | undefined } & Pick<
  Change,
  'remove' | 'slots'
> & {
    readonly sync?: SyncEnvironment['sync']
    readonly preview?: PreviewEnvironment['preview']
  }

/** Nothing ran: there is no other reason to give. */
export const NEVER_STARTED = 'stopped before it started'

/** By a member, or by the control plane for a reason. */
export function requestStop(
  record: Environment,
  by: { userId: string } | { reason: string },
  now: Date,
): Patch | undefined {
  const stopRequest = { ...by, at: now.toISOString() }
  if (record.status === 'requested') {
    const reason = 'reason' in by ? by.reason : NEVER_STARTED
    return { stopRequest, ...end(record, now, { status: 'killed', reason }) }
  }
  // Who asks for the end while a restart is under way wants the end.
  if (record.status === 'stopping') return record.restart ? { restart: undefined } : undefined
  return { status: 'stopping', stopRequest }
}

/** The end of the generation, or the beginning of the next when a member wants one. */
export function end(
  record: Environment,
  now: Date,
  how: { readonly status: Status; readonly exitCode?: number; readonly reason?: string },
): Patch {
  if (record.restart && !record.deletedAt) return { ...nextGeneration(record, now), restarts: undefined }
  const heldOut = record.startedAt !== undefined && now.getTime() - Date.parse(record.startedAt) >= HELD_OUT_MS
  return {
    restarts: how.status === 'failed' && !heldOut ? record.restarts : undefined,
    status: how.status,
    endedAt: now.toISOString(),
    exitCode: how.exitCode,
    reason: how.reason,
    slot: undefined,
    ticket: undefined,
    linkKeyHash: undefined,
    ...atEnd(record),
    ...(record.deletedAt ? { remove: true } : {}),
  }
}

/** The same record, to be started anew: nothing of the generation before is left but its lease, when it still has one. */
export function nextGeneration(record: Environment, now: Date): Patch {
  return {
    ...anew(record),
    status: 'requested',
    generation: record.generation + 1,
    attempt: 1,
    requestedAt: now.toISOString(),
    task: undefined,
    ticket: undefined,
    linkKeyHash: undefined,
    claimedAt: undefined,
    startedAt: undefined,
    endedAt: undefined,
    exitCode: undefined,
    reason: undefined,
    stopRequest: undefined,
    restart: undefined,
    health: undefined,
    exitReport: undefined,
  }
}
