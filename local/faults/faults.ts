import { createEventDisturber, type EventDisturber, type EventFault } from './events.ts'
import { type Random, seededRandom } from './random.ts'

/** What the faults of ECS see of a RunTask call. */
export interface RunTaskCall {
  readonly cluster: string
  readonly taskDefinition: string
  readonly startedBy: string | undefined
  readonly clientToken: string | undefined
}

/** What the faults of ECS see of a task. */
export interface TaskView {
  readonly taskArn: string
  readonly startedBy?: string
  readonly group: string
  readonly taskDefinitionArn: string
}

/**
 * How a RunTask call goes wrong.
 * - `throttle`: ThrottlingException "Rate exceeded", nothing created
 * - `refuse`: a 200 answer with `failures[]` and `reason`, nothing created
 * - `server-error`: ServerException (500), nothing created
 * - `hang`: the call is never answered, nothing created
 * - `lose-answer`: the tasks are created, the connection breaks before the answer
 */
export type RunTaskFault =
  | { readonly kind: 'throttle' }
  | { readonly kind: 'refuse'; readonly reason?: string }
  | { readonly kind: 'server-error' }
  | { readonly kind: 'hang' }
  | { readonly kind: 'lose-answer' }

/**
 * How a task's start goes wrong.
 * - `image-pull`: stops with CannotPullContainerError, stop code TaskFailedToStart
 * - `stay`: stays in PROVISIONING until stopped
 */
export type StartFault = { readonly kind: 'image-pull'; readonly reason?: string } | { readonly kind: 'stay' }

/** How a StopTask call goes wrong: `throttle` and `server-error` change nothing, `lose-answer` stops the task. */
export type StopTaskFault =
  | { readonly kind: 'throttle' }
  | { readonly kind: 'server-error' }
  | { readonly kind: 'lose-answer' }

/** When a switch acts. */
export interface Trigger<Subject> {
  /** The calls or tasks it acts on; all of them when absent. */
  readonly where?: (subject: Subject) => boolean
  /** Acts at most this many times; without end when absent. */
  readonly times?: number
  /** Acts with this probability (0 to 1); 1 when absent. */
  readonly probability?: number
}

/** A switch: what happens, and when. */
export interface Switch<Fault, Subject> {
  /** Adds a fault; it acts until used up, removed by the returned function, or reset. The first that matches acts. */
  add(fault: Fault, trigger?: Trigger<Subject>): () => void
  /** The fault that acts on this subject now, if any; counts as one use. */
  take(subject: Subject): Fault | undefined
  reset(): void
}

/** The switches that the parts of the one-machine runtime consult. All are off until a test or an operator sets one. */
export interface Faults {
  readonly random: Random
  readonly runTask: Switch<RunTaskFault, RunTaskCall>
  readonly start: Switch<StartFault, TaskView>
  readonly stopTask: Switch<StopTaskFault, { readonly task: string }>
  /** Acts on events on their way into EventBridge from a service such as ECS. */
  readonly events: Switch<EventFault, unknown>
  /** Passes an event on to `deliver` zero, one or two times, now or later, as `events` says. */
  readonly disturbEvent: EventDisturber
  /** Switches everything off, and releases what was held back for reordering. Delayed events still arrive. */
  reset(): void
}

function createSwitch<Fault, Subject>(random: Random): Switch<Fault, Subject> {
  type Entry = { fault: Fault; trigger: Trigger<Subject>; left: number }
  const entries: Entry[] = []
  const remove = (entry: Entry) => {
    const at = entries.indexOf(entry)
    if (at >= 0) entries.splice(at, 1)
  }
  return {
    add(fault, trigger = {}) {
      const entry: Entry = { fault, trigger, left: trigger.times ?? Number.POSITIVE_INFINITY }
      entries.push(entry)
      return () => remove(entry)
    },
    take(subject) {
      for (const entry of entries) {
        if (entry.trigger.where && !entry.trigger.where(subject)) continue
        if (entry.trigger.probability !== undefined && random() >= entry.trigger.probability) continue
        entry.left -= 1
        if (entry.left <= 0) remove(entry)
        return entry.fault
      }
      return undefined
    },
    reset() {
      entries.length = 0
    },
  }
}

/** Makes the switches. `seed` makes probabilities and orders repeatable; tests name it in their failure message. */
export function createFaults(options: { seed?: number } = {}): Faults {
  const random = seededRandom(options.seed ?? 1)
  const runTask = createSwitch<RunTaskFault, RunTaskCall>(random)
  const start = createSwitch<StartFault, TaskView>(random)
  const stopTask = createSwitch<StopTaskFault, { readonly task: string }>(random)
  const events = createSwitch<EventFault, unknown>(random)
  const disturbEvent = createEventDisturber(events, random)
  return {
    random,
    runTask,
    start,
    stopTask,
    events,
    disturbEvent,
    reset() {
      for (const each of [runTask, start, stopTask, events]) each.reset()
      disturbEvent.release()
    },
  }
}
