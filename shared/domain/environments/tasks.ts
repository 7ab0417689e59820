/** ECS as the domain needs it, and the names by which a task and its record find each other (invariant 2). */
import type { TaskSize } from '../../contracts/limits.ts'
import type { Environment, EnvironmentRef, EnvironmentType } from './schema.ts'
import type { ObservedTask } from './task-end.ts'

export interface TaskStart {
  /** What it is decides who may connect to it. */
  readonly kind: EnvironmentType
  /** Same token, same parameters: ECS answers with the same task. At most 64 characters, kept 24 h. */
  readonly clientToken: string
  /** At most 128 characters of `[A-Za-z0-9_/-]`. */
  readonly startedBy: string
  /** ARN of the team's definition, and the name of the container in it. */
  readonly taskDefinition: string
  readonly container: string
  readonly size: TaskSize
  /** Variables of the container, by RunTask override: readable in ECS events, so nothing that stays usable. */
  readonly environment: Readonly<Record<string, string>>
}

export type TaskStarted =
  | { readonly outcome: 'accepted'; readonly taskArn: string }
  /** A definite no: there is no task. */
  | { readonly outcome: 'refused'; readonly reason: string; readonly retry: boolean }
  /** A definite no that ends by itself: what was just made for the team is not seen everywhere yet. There is no task. */
  | { readonly outcome: 'too-early'; readonly reason: string }
  /** No answer, or one that does not say whether there is a task. */
  | { readonly outcome: 'unclear'; readonly reason: string }

export type DescribedTask = ObservedTask & {
  readonly startedBy?: string | undefined
  readonly createdAt?: string | undefined
}

/** What a record's task is run from. `later`: something for it is being made; `refused`: it cannot be made. */
export type Prepared =
  | { readonly outcome: 'ready'; readonly taskDefinition: string; readonly container: string }
  | { readonly outcome: 'later'; readonly reason: string }
  | { readonly outcome: 'refused'; readonly reason: string }
/** Makes what a record's task needs of its team: may be repeated, and run beside others. */
export type PrepareTask = (record: Environment) => Promise<Prepared>

export interface TaskRunner {
  run(start: TaskStart): Promise<TaskStarted>
}
export interface TaskStopper {
  /** Resolves when ECS has taken the order, or does not know the task; throws otherwise. */
  stop(taskArn: string, reason: string): Promise<void>
}
export interface TaskReader {
  /** Arns of the cluster's tasks that are to be running. */
  listRunning(): Promise<string[]>
  /** Any number of arns; those ECS does not know are `missing`. */
  describe(arns: readonly string[]): Promise<{ tasks: DescribedTask[]; missing: string[] }>
}

export const clientTokenOf = ({ id, generation, attempt }: Environment): string => `${id}-${generation}-${attempt}`

export const startedByOf = ({ teamId, id, generation }: EnvironmentRef & { generation: number }): string =>
  `${teamId}/${id}/${generation}`

/** Undefined: the task is none of ours. */
export function parseStartedBy(startedBy: string | undefined): (EnvironmentRef & { generation: number }) | undefined {
  const match = /^([A-Za-z0-9_-]{1,64})\/([A-Za-z0-9_-]{1,64})\/([1-9]\d{0,8})$/.exec(startedBy ?? '')
  const [, teamId, id, generation] = match ?? []
  return teamId && id && generation ? { teamId, id, generation: Number(generation) } : undefined
}
