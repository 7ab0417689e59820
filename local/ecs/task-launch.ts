import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Mount, MountRefused, type MountRequest } from '../efs/mount.ts'
import { type ContainerProcess, startContainerProcess } from './container-process.ts'
import {
  containerCommand,
  containerEnvironment,
  type LocalImage,
  type MountedVolume,
  type Volumes,
} from './environment.ts'
import { REASONS } from './reasons.ts'
import {
  type Container,
  type ContainerDefinition,
  type Task,
  type TaskDefinition,
  taskIdOf,
  type Volume,
} from './types.ts'

/** A line that a container wrote. */
export interface TaskLogLine {
  readonly taskArn: string
  readonly container: string
  readonly stream: 'stdout' | 'stderr'
  readonly line: string
}

/** What this machine offers to tasks. */
export interface TaskHost {
  readonly stateDir: string
  /** What an image URI is here; undefined refuses the pull. */
  readonly images: (imageUri: string) => LocalImage | undefined
  /** The value that a secret's `valueFrom` (an ARN, also with `:key::`) names. Rejects when there is none. */
  readonly secret: (valueFrom: string) => Promise<string>
  /** Mounts an EFS file system for a task. Throws `MountRefused`. */
  readonly mountEfs: (request: MountRequest) => Promise<Mount>
  readonly onLog: (line: TaskLogLine) => void
  readonly metadataUri: (runtimeId: string) => string
}

/** A task could not be started; the message is the task's stopped reason. */
export class StartFailed extends Error {
  constructor(reason: string) {
    super(reason)
    this.name = 'StartFailed'
  }
}

/** A container that runs, with what its health check needs. */
export interface RunningContainer {
  readonly container: Container
  readonly definition: ContainerDefinition
  readonly process: ContainerProcess
  readonly directory: string
  readonly environment: Readonly<Record<string, string>>
}

/** Where a task keeps what is its own: volumes, HOME and logs. Removed when the task is forgotten. */
export function taskDirectory(stateDir: string, taskArn: string): string {
  return join(stateDir, 'tasks', taskIdOf(taskArn))
}

/** A container's own HOME. */
function homeDirectory(stateDir: string, taskArn: string, container: Container): string {
  return join(taskDirectory(stateDir, taskArn), 'homes', container.runtimeId ?? container.name)
}

/**
 * The marks by which all processes of a container are found (see `processesWithEnvironment`): a program that starts others
 * with an environment of its own making passes on HOME, if nothing else. Both are unlike those of any other container.
 */
export function containerMarks(task: Task, container: Container, host: TaskHost): string[] {
  return [
    `ECS_CONTAINER_METADATA_URI_V4=${host.metadataUri(container.runtimeId ?? '')}`,
    `HOME=${homeDirectory(host.stateDir, task.taskArn, container)}`,
  ]
}

/** Finds every image of a task, as the pull does. Throws `StartFailed`. */
export function pullImages(definition: TaskDefinition, host: TaskHost): Map<string, LocalImage> {
  const images = new Map<string, LocalImage>()
  for (const { name, image } of definition.containerDefinitions) {
    const local = host.images(image)
    if (!local) throw new StartFailed(REASONS.cannotPull(image))
    images.set(name, local)
  }
  return images
}

/** Resolves every container's secrets, before any container starts, as Fargate does. Throws `StartFailed`. */
export async function pullSecrets(
  definition: TaskDefinition,
  host: TaskHost,
): Promise<Map<string, Record<string, string>>> {
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

/** Makes the folders that stand for a task's volumes. Throws `StartFailed`. */
export async function prepareVolumes(task: Task, definition: TaskDefinition, host: TaskHost): Promise<Volumes> {
  const scratch = taskDirectory(host.stateDir, task.taskArn)
  // What a task writes is nobody else's business on a machine with several users.
  await mkdir(scratch, { recursive: true, mode: 0o700 })
  const volumes = new Map<string, MountedVolume>()
  for (const volume of definition.volumes) volumes.set(volume.name, await mountVolume(volume, task, definition, host))
  return volumes
}

async function mountVolume(
  { name, efsVolumeConfiguration: efs }: Volume,
  task: Task,
  definition: TaskDefinition,
  host: TaskHost,
): Promise<MountedVolume> {
  if (!efs) {
    const directory = join(taskDirectory(host.stateDir, task.taskArn), 'volumes', name)
    await mkdir(directory, { recursive: true })
    return { directory, readOnly: false }
  }
  try {
    return await host.mountEfs({
      fileSystemId: efs.fileSystemId,
      accessPointId: efs.authorizationConfig?.accessPointId,
      rootDirectory: efs.rootDirectory,
      transitEncryption: efs.transitEncryption,
      iam: efs.authorizationConfig?.iam,
      taskRoleArn: task.overrides.taskRoleArn ?? definition.taskRoleArn,
    })
  } catch (error) {
    if (error instanceof MountRefused) throw new StartFailed(REASONS.volumeUnavailable(error.message))
    throw error
  }
}

/** Starts one container. Throws `StartFailed` when its program cannot be executed. */
export async function startContainer(
  task: Task,
  container: Container,
  definition: ContainerDefinition,
  parts: { image: LocalImage; secrets: Record<string, string>; volumes: Volumes },
  host: TaskHost,
): Promise<RunningContainer> {
  const scratch = taskDirectory(host.stateDir, task.taskArn)
  const home = homeDirectory(host.stateDir, task.taskArn, container)
  await mkdir(home, { recursive: true })
  const override = task.overrides.containerOverrides?.find(({ name }) => name === container.name)
  const metadataUri = host.metadataUri(container.runtimeId ?? '')
  const environment = containerEnvironment({
    ...parts,
    definition,
    override,
    home,
    address: task.eni.privateIPv4Address,
    metadataUri,
  })
  const { directory } = parts.image
  try {
    const process = await startContainerProcess({
      command: containerCommand(parts.image, definition, override),
      directory,
      environment,
      marks: containerMarks(task, container, host),
      logFile: join(scratch, `${container.name}.log`),
      onLine: (line, stream) => host.onLog({ taskArn: task.taskArn, container: container.name, stream, line }),
    })
    return { container, definition, process, directory, environment }
  } catch (error) {
    throw new StartFailed(REASONS.cannotStart((error as Error).message))
  }
}
