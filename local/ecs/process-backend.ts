import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type ContainerBackend, type ContainerSpec, StartFailed } from './backend.ts'
import { startContainerProcess } from './container-process.ts'
import { containerCommand, containerEnvironment, type LocalImage, type Volumes } from './environment.ts'
import { runHealthCheck } from './health-check.ts'
import { createLoopbackAddresses } from './loopback.ts'
import { REASONS } from './reasons.ts'
import { taskDirectory, taskDisk } from './task-directory.ts'
import type { Container, Task } from './types.ts'

/** What `createProcessBackend` takes. */
export interface ProcessBackendOptions {
  readonly stateDir: string
  /** What an image URI is here; undefined refuses the pull. */
  readonly images: (imageUri: string) => LocalImage | undefined
}

/** Containers that are processes of this machine, under this user, without limits or confinement. */
export async function createProcessBackend({ stateDir, images }: ProcessBackendOptions): Promise<ContainerBackend> {
  const imageOf = (imageUri: string): LocalImage => {
    const image = images(imageUri)
    if (!image) throw new StartFailed(REASONS.cannotPull(imageUri))
    return image
  }

  /** A container's own HOME. */
  const homeOf = (task: Task, container: Container) =>
    join(taskDirectory(stateDir, task.taskArn), 'homes', container.runtimeId ?? container.name)

  /**
   * The marks by which all processes of a container are found (see `processesWithEnvironment`): a program that starts others
   * with an environment of its own making passes on HOME, if nothing else. Both are unlike those of any other container.
   */
  const marksOf = (task: Task, container: Container, metadataUri: string) => [
    `ECS_CONTAINER_METADATA_URI_V4=${metadataUri}`,
    `HOME=${homeOf(task, container)}`,
  ]

  /** A folder for each volume that is the task's own; nobody else's business on a machine with several users. */
  async function volumesOf({ task, definition, mounts }: ContainerSpec): Promise<Volumes> {
    const volumes = new Map(mounts)
    for (const { sourceVolume } of definition.mountPoints ?? []) {
      if (sourceVolume === undefined || volumes.has(sourceVolume)) continue
      const directory = join(taskDisk(task.taskArn), sourceVolume)
      await mkdir(directory, { recursive: true, mode: 0o700 })
      volumes.set(sourceVolume, { directory, readOnly: false })
    }
    return volumes
  }

  async function start(spec: ContainerSpec) {
    const { task, container, definition, secrets, metadataUri, onLine, onHealth } = spec
    const image = imageOf(definition.image)
    const home = homeOf(task, container)
    await mkdir(home, { recursive: true })
    const override = task.overrides.containerOverrides?.find(({ name }) => name === container.name)
    const environment = containerEnvironment({
      image,
      definition,
      override,
      secrets,
      volumes: await volumesOf(spec),
      home,
      address: task.eni.privateIPv4Address,
      metadataUri,
    })
    const marks = marksOf(task, container, metadataUri)
    const process = await startContainerProcess({
      command: containerCommand(image, definition, override),
      directory: image.directory,
      environment,
      marks,
      onLine,
    }).catch((error: Error) => {
      throw new StartFailed(REASONS.cannotStart(error.message))
    })
    const endHealthCheck = definition.healthCheck
      ? runHealthCheck({ check: definition.healthCheck, directory: image.directory, environment, onChange: onHealth })
      : () => {}
    return {
      exited: process.exited.then((exitCode) => {
        endHealthCheck()
        return { exitCode }
      }),
      stop(timeoutMs: number) {
        // A program that shuts down is not unhealthy.
        endHealthCheck()
        return process.stop(timeoutMs)
      },
      kill: process.kill,
      recorded: { pid: process.pid, start: process.start, marks },
    }
  }

  return {
    addresses: await createLoopbackAddresses(stateDir),
    async pull(imageUri) {
      imageOf(imageUri)
    },
    recordOf: (task, container, metadataUri) => ({
      pid: 0,
      start: undefined,
      marks: marksOf(task, container, metadataUri),
    }),
    start,
    // HOME stays beside the logs until the task is forgotten.
    release: (task) => rm(taskDisk(task.taskArn), { recursive: true, force: true }),
    close: async () => {},
  }
}
