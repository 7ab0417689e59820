import type { Faults } from '../faults/faults.ts'
import { type ContainerExit, type RunningContainer, StartFailed } from './backend.ts'
import { REASONS } from './reasons.ts'
import { prepare, startContainer, type TaskHost } from './task-launch.ts'
import type { TaskStore } from './task-store.ts'
import type { Container, ContainerDefinition, StopCode, Task, TaskDefinition } from './types.ts'

/** How long a task stays in each state, in milliseconds. On Fargate a start takes 30 to 60 s. */
export interface Latencies {
  readonly provisioningMs: number
  readonly pendingMs: number
  readonly deactivatingMs: number
  readonly deprovisioningMs: number
}

/** What a run of a task needs. */
export interface TaskRunDependencies {
  readonly store: TaskStore
  readonly host: TaskHost
  readonly latencies: Latencies
  readonly faults: Faults
  readonly now: () => number
  readonly onDefect: (error: unknown) => void
}

/** One task's life, from PROVISIONING to STOPPED. */
export interface TaskRun {
  readonly task: Task
  /** Asks for its end; resolves when that is written down. The first reason stays. */
  requestStop(stopCode: StopCode, reason: string): Promise<void>
  /** Kills a container as the kernel does for lack of memory. Throws when it does not run. */
  killForMemory(containerName: string): Promise<void>
  /** Ends the processes and the run without telling anyone, because the runtime closes; resolves when all are gone. */
  abandon(graceMs: number): Promise<void>
  /** Resolves when the task is STOPPED or abandoned. Rejects on a defect, such as a state file that cannot be written. */
  readonly done: Promise<void>
}

/** A container that runs, with what the task knows of it. */
interface Running {
  readonly container: Container
  readonly definition: ContainerDefinition
  readonly process: RunningContainer
}

/** Seconds between SIGTERM and SIGKILL unless the container says otherwise. Source: ContainerDefinition `stopTimeout`. */
const DEFAULT_STOP_TIMEOUT_S = 30

function settleExit(container: Container, { exitCode, reason }: ContainerExit): void {
  container.lastStatus = 'STOPPED'
  container.exitCode = exitCode
  if (reason !== undefined) container.reason ??= reason
}

/** Starts a task that has just been added to the store in PROVISIONING. */
export function startTaskRun(task: Task, definition: TaskDefinition, deps: TaskRunDependencies): TaskRun {
  const { store, host, latencies, now } = deps
  const stop = Promise.withResolvers<void>()
  let abandonedWithGraceMs: number | undefined
  const running = new Map<string, Running>()
  const essentialExited = Promise.withResolvers<void>()

  const isEssential = (name: string) =>
    definition.containerDefinitions.find((container) => container.name === name)?.essential !== false

  async function change(mutate: (task: Task) => void): Promise<void> {
    if (abandonedWithGraceMs === undefined) await store.change(task, mutate)
  }

  const isEnding = () => task.desiredStatus === 'STOPPED' || abandonedWithGraceMs !== undefined

  /** Waits, unless the task's end is asked for meanwhile. */
  async function pause(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const waited = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms)
    })
    await Promise.race([waited, stop.promise])
    clearTimeout(timer)
  }

  async function live(): Promise<void> {
    try {
      await startAndWait()
      await end()
    } catch (error) {
      // A defect must not leave processes of which nobody knows any more.
      await stopContainers(0)
      throw error
    }
  }

  async function startAndWait(): Promise<void> {
    try {
      await start()
      await Promise.race([stop.promise, essentialExited.promise])
    } catch (error) {
      if (!(error instanceof StartFailed)) throw error
      failToStart(error.message)
    }
  }

  async function start(): Promise<void> {
    const fault = deps.faults.start.take(task)
    if (fault?.kind === 'stay') await stop.promise
    await pause(latencies.provisioningMs)
    if (isEnding()) return
    await change(() => {
      task.lastStatus = 'PENDING'
      task.eniStatus = 'ATTACHED'
    })
    task.connectivity = 'CONNECTED'
    task.connectivityAt = now()
    task.pullStartedAt = now()
    await pause(latencies.pendingMs)
    if (isEnding()) return
    if (fault?.kind === 'image-pull')
      throw new StartFailed(fault.reason ?? REASONS.cannotPull(definition.containerDefinitions[0]?.image ?? ''))
    await startContainers()
    if (running.size === 0) return
    await change(() => {
      task.lastStatus = 'RUNNING'
      task.startedAt = now()
    })
  }

  async function startContainers(): Promise<void> {
    const prepared = await prepare(task, definition, host)
    task.pullStoppedAt = now()
    for (const container of task.containers) {
      if (isEnding()) return
      const declared = definition.containerDefinitions.find(({ name }) => name === container.name)
      if (!declared) throw new Error(`The task definition has no container ${container.name}`)
      // Written down before it exists, so that it is found after a crash at any moment.
      const expected = host.backend.recordOf(task, container, host.metadataUri(container.runtimeId ?? ''))
      if (expected) await store.recordProcess(task.taskArn, expected)
      const process = await startContainer(task, container, declared, prepared, host)
      running.set(container.name, { container, definition: declared, process })
      container.lastStatus = 'RUNNING'
      if (process.recorded) await store.recordProcess(task.taskArn, process.recorded)
      process.exited.then((exit) => containerExited(container, exit)).catch(deps.onDefect)
    }
  }

  async function containerExited(container: Container, exit: ContainerExit): Promise<void> {
    running.delete(container.name)
    const settle = () => settleExit(container, exit)
    if (isEssential(container.name)) {
      settle()
      essentialExited.resolve()
    } else if (task.desiredStatus === 'STOPPED') settle()
    else await change(settle)
  }

  function failToStart(reason: string): void {
    task.stopCode ??= 'TaskFailedToStart'
    task.stoppedReason ??= reason
    for (const container of task.containers) if (!running.has(container.name)) container.reason = reason
  }

  async function end(): Promise<void> {
    if (abandonedWithGraceMs !== undefined) return stopContainers(abandonedWithGraceMs)
    const byRequest = task.desiredStatus === 'STOPPED'
    if (!byRequest) {
      task.desiredStatus = 'STOPPED'
      task.stoppingAt = now()
      task.stopCode ??= 'EssentialContainerExited'
      task.stoppedReason ??= REASONS.essentialExited
    }
    if (byRequest && task.startedAt !== undefined) {
      await change(() => {
        task.lastStatus = 'DEACTIVATING'
      })
      await new Promise((resolve) => setTimeout(resolve, latencies.deactivatingMs))
    }
    if (running.size > 0) {
      await change(() => {
        task.lastStatus = 'STOPPING'
      })
      await stopContainers()
    }
    // The runtime may have closed meanwhile; then the next one tells the rest.
    await change(() => {
      task.lastStatus = 'DEPROVISIONING'
      if (task.pullStoppedAt !== undefined) task.executionStoppedAt = now()
      for (const container of task.containers) container.lastStatus = 'STOPPED'
    })
    store.forgetProcesses(task.taskArn)
    await new Promise((resolve) => setTimeout(resolve, latencies.deprovisioningMs))
    await change(() => {
      task.lastStatus = 'STOPPED'
      task.eniStatus = 'DELETED'
      task.stoppedAt = now()
    })
  }

  async function stopContainers(graceMs?: number): Promise<void> {
    await Promise.all(
      [...running.values()].map(async ({ container, definition: declared, process }) => {
        await process.stop(graceMs ?? (declared.stopTimeout ?? DEFAULT_STOP_TIMEOUT_S) * 1_000)
        settleExit(container, await process.exited)
      }),
    )
  }

  const done = live()
  return {
    task,
    async requestStop(stopCode, reason) {
      if (task.desiredStatus === 'STOPPED') return
      const written = change(() => {
        task.desiredStatus = 'STOPPED'
        task.stopCode = stopCode
        task.stoppedReason = reason
        task.stoppingAt = now()
        // StopTask deletes a task's tags. Source: the API reference of StopTask.
        if (stopCode === 'UserInitiated') task.tags = []
      })
      // Also when it cannot be written: a task that counts as stopping must stop.
      await written.finally(stop.resolve)
    },
    async killForMemory(containerName) {
      const target = running.get(containerName)
      if (!target) throw new Error(`The container ${containerName} of ${task.taskArn} does not run`)
      target.container.reason = REASONS.outOfMemory
      await target.process.kill()
    },
    async abandon(graceMs) {
      abandonedWithGraceMs = graceMs
      stop.resolve()
      // A stop that is under way may be waiting for a longer time out.
      await Promise.all([stopContainers(graceMs), done])
    },
    done,
  }
}
