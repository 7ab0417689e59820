import type { MountedVolume } from './environment.ts'
import type { RecordedProcess } from './processes.ts'
import type { Container, ContainerDefinition, HealthStatus, Task } from './types.ts'

/** Gives each task an address of its own, as Fargate gives it one in the VPC. */
export interface TaskAddresses {
  /** An address that no living task has. Throws when all are taken. */
  allocate(): string
  release(address: string): void
}

/** A line that a container wrote. */
export interface TaskLogLine {
  readonly taskArn: string
  readonly container: string
  readonly stream: 'stdout' | 'stderr'
  readonly line: string
}

/** A task could not be started; the message is the task's stopped reason. */
export class StartFailed extends Error {
  constructor(reason: string) {
    super(reason)
    this.name = 'StartFailed'
  }
}

/** What a container is started from. */
export interface ContainerSpec {
  readonly task: Task
  readonly container: Container
  readonly definition: ContainerDefinition
  /** The values of `definition.secrets`, by variable name. */
  readonly secrets: Readonly<Record<string, string>>
  /** The task's mounted file systems, by volume name; every other volume is the task's own and empty at first. */
  readonly mounts: ReadonlyMap<string, MountedVolume>
  readonly metadataUri: string
  readonly onLine: (line: string, stream: TaskLogLine['stream']) => void
  /** Told of each change of health; never when the definition has no health check. */
  readonly onHealth: (status: HealthStatus) => void
}

/** How a container ended. */
export interface ContainerExit {
  /** 128 + n after signal n, so 137 after SIGKILL and 143 after SIGTERM. */
  readonly exitCode: number
  /** The container's own reason, such as lack of memory. */
  readonly reason?: string
}

/** A container that runs. */
export interface RunningContainer {
  /** Resolves when the container and everything it started are gone, and all its output has been told. */
  readonly exited: Promise<ContainerExit>
  /** SIGTERM to the first process, SIGKILL to all of the container when it has not ended `timeoutMs` later. */
  stop(timeoutMs: number): Promise<void>
  /** SIGKILL to all of the container. */
  kill(): Promise<void>
  /** By what a next runtime finds it when this one dies; undefined when the backend finds its containers itself. */
  readonly recorded?: RecordedProcess
}

/**
 * How the containers of tasks run. Two adapters: processes of this machine, and containers of a Docker engine; one suite of
 * tests, `test/unit/local/ecs/backend-contract.ts`, holds them to the same behaviour.
 */
export interface ContainerBackend {
  /** The addresses that tasks have. */
  readonly addresses: TaskAddresses
  /** Makes an image ready, as the pull does. Throws `StartFailed`. */
  pull(imageUri: string): Promise<void>
  /** By what a container would be found that is about to be started, should this runtime die in between. */
  recordOf(task: Task, container: Container, metadataUri: string): RecordedProcess | undefined
  /** Starts one container. Throws `StartFailed`. */
  start(spec: ContainerSpec): Promise<RunningContainer>
  /** Removes what a task that has ended left, but for its logs. */
  release(task: Task): Promise<void>
  close(): Promise<void>
}
