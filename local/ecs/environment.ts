import { dirname } from 'node:path'
import { REGION } from '../assembly/account.ts'
import type { ContainerDefinition, ContainerOverride } from './types.ts'

/** What an image is on this machine: the folder and the entry point that its container runs. */
export interface LocalImage {
  /** The working directory, as the image's WORKDIR. */
  readonly directory: string
  readonly entryPoint: readonly string[]
  readonly command?: readonly string[]
  /** The image's own ENV. */
  readonly environment?: Readonly<Record<string, string>>
}

/** A volume of a task as it lies on this machine. */
export interface MountedVolume {
  readonly directory: string
  /** Nobody may write to it, whatever the mount points say. */
  readonly readOnly: boolean
}

/** A task's volumes by name. */
export type Volumes = ReadonlyMap<string, MountedVolume>

/**
 * Rewrites a value that equals or lies below a mount point to the folder that stands for the volume: a process has no
 * mount namespace in which the container's path could exist. Anything else is left alone.
 */
export function toHostPath(value: string, mountPoints: ContainerDefinition['mountPoints'], volumes: Volumes): string {
  const longestFirst = [...(mountPoints ?? [])].sort(
    (one, other) => (other.containerPath?.length ?? 0) - (one.containerPath?.length ?? 0),
  )
  for (const { containerPath, sourceVolume } of longestFirst) {
    const directory = volumes.get(sourceVolume ?? '')?.directory
    if (!containerPath || !directory) continue
    const path = containerPath.replace(/\/+$/, '')
    if (value === path || value === `${path}/`) return directory
    if (value.startsWith(`${path}/`)) return directory + value.slice(path.length)
  }
  return value
}

/** What a container's environment is made of. */
export interface EnvironmentParts {
  readonly image: LocalImage
  readonly definition: ContainerDefinition
  readonly override: ContainerOverride | undefined
  /** The values of `definition.secrets`, by variable name. */
  readonly secrets: Readonly<Record<string, string>>
  readonly volumes: Volumes
  readonly home: string
  /** The task's own address. */
  readonly address: string
  readonly metadataUri: string
}

/**
 * The environment of a container's process. From weakest to strongest: what the machine must give (PATH, HOME, LANG),
 * the image's ENV, the container definition, RunTask's override, secrets, and last what the platform sets: AWS_REGION,
 * AWS_DEFAULT_REGION, AWS_EXECUTION_ENV, ECS_CONTAINER_METADATA_URI_V4, and HOST, the task's own address to listen on,
 * because tasks share this machine's ports. Nothing of this process's environment but PATH and LANG goes in.
 */
export function containerEnvironment(parts: EnvironmentParts): Record<string, string> {
  const { image, definition, override, secrets, volumes, home, address, metadataUri } = parts
  const set: Record<string, string> = {
    // The runtime's own Node first, as the images are built on the same version.
    PATH: `${dirname(process.execPath)}:${process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin'}`,
    HOME: home,
    LANG: process.env.LANG ?? 'C.UTF-8',
    ...image.environment,
  }
  for (const { name, value } of [...(definition.environment ?? []), ...(override?.environment ?? [])])
    set[name] = toHostPath(value, definition.mountPoints, volumes)
  return {
    ...set,
    ...secrets,
    AWS_REGION: REGION,
    AWS_DEFAULT_REGION: REGION,
    AWS_EXECUTION_ENV: 'AWS_ECS_FARGATE',
    ECS_CONTAINER_METADATA_URI_V4: metadataUri,
    HOST: address,
  }
}

/** Program and arguments of a container, by Docker's rule: a definition's entry point drops the image's command. */
export function containerCommand(
  image: LocalImage,
  definition: ContainerDefinition,
  override: ContainerOverride | undefined,
): string[] {
  const ownEntryPoint = definition.entryPoint !== undefined && definition.entryPoint.length > 0
  const entryPoint = ownEntryPoint ? (definition.entryPoint ?? []) : image.entryPoint
  const imageCommand = ownEntryPoint ? [] : (image.command ?? [])
  const command = override?.command ?? definition.command ?? imageCommand
  return [...entryPoint, ...command]
}
