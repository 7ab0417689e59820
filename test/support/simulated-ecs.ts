/**
 * ECS for simulations: tasks with versions and client tokens, and a log of the events it would send. What goes wrong is
 * chosen by the test: every call takes the next of `faults`, `none` when there are no more.
 */
import type {
  DescribedTask,
  TaskReader,
  TaskRunner,
  TaskStarted,
  TaskStopper,
} from '../../shared/domain/environments/tasks.ts'

export const RUN_FAULTS = ['none', 'refused', 'refused-for-good', 'too-early', 'no-answer', 'answer-lost'] as const
export type RunFault = (typeof RUN_FAULTS)[number]

export class SimulatedEcs implements TaskRunner, TaskStopper, TaskReader {
  readonly tasks = new Map<string, DescribedTask>()
  /** Every state a task has been in: what EventBridge would be given, in order. */
  readonly events: DescribedTask[] = []
  runFaults: RunFault[] = []
  stopFails = 0
  /** When tasks start. */
  now = () => new Date('2026-01-02T03:04:06.000Z')
  /** Definition that each task was run from. */
  readonly definitionOf = new Map<string, string>()
  readonly #byToken = new Map<string, string>()

  async run({ clientToken, startedBy, taskDefinition }: Parameters<TaskRunner['run']>[0]): Promise<TaskStarted> {
    const fault = this.runFaults.shift() ?? 'none'
    if (fault === 'no-answer') return { outcome: 'unclear', reason: 'timed out' }
    if (fault === 'refused') return { outcome: 'refused', reason: 'Capacity is unavailable at this time', retry: true }
    if (fault === 'refused-for-good') return { outcome: 'refused', reason: 'InvalidParameterException', retry: false }
    if (fault === 'too-early') return { outcome: 'too-early', reason: 'ECS was unable to assume the role' }
    let arn = this.#byToken.get(clientToken)
    if (!arn) {
      arn = `task-${this.#byToken.size + 1}`
      this.#byToken.set(clientToken, arn)
      this.definitionOf.set(arn, taskDefinition)
      this.#becomes({ arn, version: 1, lastStatus: 'PROVISIONING', desiredStatus: 'RUNNING', startedBy })
    }
    return fault === 'answer-lost' ? { outcome: 'unclear', reason: 'timed out' } : { outcome: 'accepted', taskArn: arn }
  }

  async stop(arn: string): Promise<void> {
    if (this.stopFails > 0) {
      this.stopFails--
      throw new Error('Rate exceeded')
    }
    const task = this.tasks.get(arn)
    if (task && task.lastStatus !== 'STOPPED')
      this.#end(task, { stopCode: 'UserInitiated', container: { exitCode: 143 } })
  }

  async listRunning(): Promise<string[]> {
    return [...this.tasks.values()].filter(({ desiredStatus }) => desiredStatus === 'RUNNING').map(({ arn }) => arn)
  }

  async describe(arns: readonly string[]) {
    const tasks = arns.flatMap((arn) => this.tasks.get(arn) ?? [])
    return { tasks, missing: arns.filter((arn) => !this.tasks.has(arn)) }
  }

  /** Brings every task that starts up to RUNNING. */
  advance(): void {
    for (const task of [...this.tasks.values()])
      if (task.lastStatus === 'PROVISIONING')
        this.#becomes({
          ...task,
          version: task.version + 1,
          lastStatus: 'RUNNING',
          startedAt: this.now().toISOString(),
          address: `10.0.1.${(Number(task.arn.slice('task-'.length)) % 250) + 4}`,
        })
  }

  /** The n-th running task's program ends by itself. */
  exit(n: number, exitCode: number): void {
    const running = [...this.tasks.values()].filter(({ lastStatus }) => lastStatus === 'RUNNING')
    const task = running[n % Math.max(running.length, 1)]
    if (task) this.#end(task, { stopCode: 'EssentialContainerExited', container: { exitCode } })
  }

  /** The program of a task ends by itself. */
  exitOf(arn: string, exitCode: number): void {
    const task = this.tasks.get(arn)
    if (task?.lastStatus === 'RUNNING')
      this.#end(task, { stopCode: 'EssentialContainerExited', container: { exitCode } })
  }

  /** As ECS does about an hour after the end. */
  forgetStopped(): void {
    for (const [arn, { lastStatus }] of this.tasks) if (lastStatus === 'STOPPED') this.tasks.delete(arn)
  }

  #end(task: DescribedTask, how: Pick<DescribedTask, 'stopCode' | 'container'>): void {
    this.#becomes({ ...task, ...how, version: task.version + 1, lastStatus: 'STOPPED', desiredStatus: 'STOPPED' })
  }

  #becomes(task: DescribedTask): void {
    this.tasks.set(task.arn, task)
    this.events.push(task)
  }
}
