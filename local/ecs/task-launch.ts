import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Mount, MountRequest } from '../efs/mount.ts'
import { type ContainerBackend, type RunningContainer, StartFailed, type TaskLogLine } from './backend.ts'
import type { MountedVolume } from './environment.ts'
import { openLogFile } from './log-file.ts'
import { REASONS } from './reasons.ts'
import { taskDirectory } from './task-directory.ts'
import type { Container, ContainerDefinition, Task, TaskDefinition } from './types.ts'

/** What this machine offers to tasks. */
export interface TaskHost {
  readonly stateDir: string
  readonly backend: ContainerBackend
  /** The value that a secret's `valueFrom` (an ARN, also with `:key::`) names. Rejects when there is none. */
  readonly secret: (valueFrom: string) => Promise<string>
  /** Mounts an EFS file system for a task. Rejects with the reason that the task is to have. */
  readonly mountEfs: (request: MountRequest) => Promise<Mount>
  readonly onLog: (line: TaskLogLine) => void
  readonly metadataUri: (runtimeId: string) => string
}

/** What a task's containers share, ready before the first of them starts. */
export interface Prepared {
  /** Secrets by container and variable. */
  readonly secrets: ReadonlyMap<string, Readonly<Record<string, string>>>
  /** The mounted file systems by volume. */
  readonly mounts: ReadonlyMap<string, MountedVolume>
}

/** Pulls images, resolves secrets and mounts file systems, in this order, as Fargate does. Throws `StartFailed`. */
export async function prepare(task: Task, definition: TaskDefinition, host: TaskHost): Promise<Prepared> {
  for (const { image } of definition.containerDefinitions) await host.backend.pull(image)
  const secrets = await pullSecrets(definition, host)
  // What a task writes is nobody else's business on a machine with several users.
  await mkdir(taskDirectory(host.stateDir, task.taskArn), { recursive: true, mode: 0o700 })
  return { secrets, mounts: await mountFileSystems(task, definition, host) }
}

async function pullSecrets(definition: TaskDefinition, host: TaskHost): Promise<Prepared['secrets']> {
  const byContainer = new Map<string, Record<string, string>>()
  for (const { name, secrets = [] } of definition.containerDefinitions) {
    const values: Record<string, string> = {}
    for (const secret of secrets)
      try {
        values[secret.name] = await host.secret(secret.valueFrom)
      } catch (error) {
        throw new StartFailed(REASONS.secretUnavailable((error as Error).message))
      }
    byContainer.set(name, values)
  }
  return byContainer
}

async function mountFileSystems(task: Task, definition: TaskDefinition, host: TaskHost): Promise<Prepared['mounts']> {
  const mounts = new Map<string, MountedVolume>()
  for (const { name, efsVolumeConfiguration: efs } of definition.volumes) {
    if (!efs) continue
    try {
      const mount = await host.mountEfs({
        fileSystemId: efs.fileSystemId,
        accessPointId: efs.authorizationConfig?.accessPointId,
        rootDirectory: efs.rootDirectory,
        transitEncryption: efs.transitEncryption,
        iam: efs.authorizationConfig?.iam,
        taskRoleArn: task.overrides.taskRoleArn ?? definition.taskRoleArn,
      })
      mounts.set(name, mount)
    } catch (error) {
      throw new StartFailed(REASONS.volumeUnavailable((error as Error).message))
    }
  }
  return mounts
}

/** Starts one container; its lines go to its log file and to the host. Throws `StartFailed`. */
export async function startContainer(
  task: Task,
  container: Container,
  definition: ContainerDefinition,
  { secrets, mounts }: Prepared,
  host: TaskHost,
): Promise<RunningContainer> {
  const tell = (line: string, stream: TaskLogLine['stream']) =>
    host.onLog({ taskArn: task.taskArn, container: container.name, stream, line })
  const path = join(taskDirectory(host.stateDir, task.taskArn), `${container.name}.log`)
  const log = openLogFile(path, (message) => tell(message, 'stderr'))
  try {
    const running = await host.backend.start({
      task,
      container,
      definition,
      secrets: secrets.get(container.name) ?? {},
      mounts,
      metadataUri: host.metadataUri(container.runtimeId ?? ''),
      onLine: (line, stream) => {
        log.write(line)
        tell(line, stream)
      },
      onHealth: (status) => {
        container.healthStatus = status
      },
    })
    return { ...running, exited: running.exited.finally(log.close) }
  } catch (error) {
    await log.close()
    throw error
  }
}
