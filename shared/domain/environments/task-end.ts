/** Why a task ended, in a state and in words (invariant 10). Sources: "Amazon ECS stopped task error codes" and "Task stop codes" in the ECS developer guide. */
import { constants } from 'node:os'
import type { Environment } from './schema.ts'
import type { FinalStatus } from './transitions.ts'

/** What ECS says of a task, in an event or in DescribeTasks, reduced to what the record needs. */
export interface ObservedTask {
  readonly arn: string
  /** Rises with each change of the task. */
  readonly version: number
  readonly lastStatus: string
  readonly desiredStatus: string
  readonly stopCode?: string | undefined
  readonly stoppedReason?: string | undefined
  /** ISO 8601. Set once the container has run. */
  readonly startedAt?: string | undefined
  readonly stoppedAt?: string | undefined
  /** Private IPv4 address of its network interface, once that is attached. */
  readonly address?: string | undefined
  readonly container?: { readonly exitCode?: number | undefined; readonly reason?: string | undefined } | undefined
}

/** The container has ended: DEPROVISIONING only frees its network interface. */
export const hasEnded = (task: ObservedTask): boolean =>
  task.lastStatus === 'STOPPED' || task.lastStatus === 'DEPROVISIONING'

export interface TaskEnd {
  readonly status: FinalStatus
  readonly exitCode?: number
  readonly reason?: string
}

const SIGNALS = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]))
/** Signals that somebody sends to end a process; the others are crashes. */
const ENDING_SIGNALS: readonly string[] = ['SIGKILL', 'SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT']

/** Stop codes under which the container, or somebody who stopped it, says how it ended; under others the platform took it. */
const OWN_ENDS: readonly string[] = ['EssentialContainerExited', 'UserInitiated']

/** Exit codes over 128 are 128 + signal, as shells and container runtimes report them. */
export const signalOfExitCode = (code: number): string | undefined => (code > 128 ? SIGNALS.get(code - 128) : undefined)

export function describeTaskEnd(record: Environment, task: ObservedTask): TaskEnd {
  const exitCode = task.container?.exitCode ?? record.exitReport?.exitCode
  const code = exitCode === undefined ? {} : { exitCode }
  const detail = task.container?.reason
  const platformSays = [task.stoppedReason, detail].filter(Boolean).join('; ')

  if (task.stopCode === 'TaskFailedToStart')
    return { status: 'failed', ...code, reason: platformSays || 'the task failed to start' }
  if (task.stopCode === 'SpotInterruption' || task.stopCode === 'TerminationNotice')
    return { status: 'failed', ...code, reason: `Spot interruption: ${platformSays || 'the capacity was taken back'}` }
  if (task.stopCode !== undefined && !OWN_ENDS.includes(task.stopCode))
    return { status: 'failed', ...code, reason: platformSays || `ended by the platform (${task.stopCode})` }
  if (detail?.startsWith('OutOfMemory')) return { status: 'failed', ...code, reason: `out of memory: ${detail}` }
  if (exitCode === 0 && task.stopCode !== 'UserInitiated') return { status: 'completed', exitCode }
  if (record.stopRequest)
    return { status: 'killed', ...code, reason: record.stopRequest.reason ?? 'stopped on request' }
  if (task.stopCode === 'UserInitiated')
    return { status: 'killed', ...code, reason: platformSays || 'the task was stopped from outside' }
  if (exitCode === undefined)
    return { status: 'failed', reason: platformSays || 'the container ended without an exit code' }

  // The container's own words, when it knows more than the code says (no model key, a clone that failed).
  const own = record.exitReport?.reason
  const signal = record.exitReport?.signal ?? signalOfExitCode(exitCode)
  if (signal)
    return {
      status: ENDING_SIGNALS.includes(signal) ? 'killed' : 'failed',
      exitCode,
      reason: `${own ?? `${ENDING_SIGNALS.includes(signal) ? 'killed' : 'crashed'} by ${signal}`} (exit code ${exitCode})`,
    }
  if (own) return { status: 'failed', exitCode, reason: `${own} (exit code ${exitCode})` }
  return { status: 'failed', exitCode, reason: [`exit code ${exitCode}`, detail].filter(Boolean).join('; ') }
}
