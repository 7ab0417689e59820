import { REGION } from '../assembly/account.ts'
import type { ContainerSpec } from '../ecs/backend.ts'
import { type HealthCheck, type KeyValue, taskIdOf } from '../ecs/types.ts'
import type { Labels } from './labels.ts'
import type { TaskNetwork } from './network.ts'

/** What a container is created from, besides its specification. */
export interface ContainerBodyParts {
  readonly image: string
  readonly labels: Labels
  readonly network: TaskNetwork
  /** Containers of one task share the first one's network. */
  readonly sharesNetworkWith: string | undefined
}

/** No program of ours comes near; it keeps a fork bomb from taking the machine. Own bound. */
const PIDS_LIMIT = 4_096
const MIB = 1024 * 1024
/** The engine counts in nanoseconds. */
const SECOND = 1_000_000_000

/** The label of everything that goes with a task. */
export function taskLabel(taskArn: string): { readonly name: string; readonly value: string } {
  return { name: 'covibes.task', value: taskIdOf(taskArn) }
}

/** The body of the engine's "Create a container", as Fargate would run the container. */
export async function containerBody(spec: ContainerSpec, parts: ContainerBodyParts): Promise<Record<string, unknown>> {
  const { task, container, definition } = spec
  const { labels, network } = parts
  const override = task.overrides.containerOverrides?.find(({ name }) => name === container.name)
  const label = taskLabel(task.taskArn)
  const all = labels.all({
    [label.name]: label.value,
    'com.amazonaws.ecs.task-arn': task.taskArn,
    'com.amazonaws.ecs.container-name': container.name,
    'com.amazonaws.ecs.cluster': task.clusterArn,
  })
  const joins = parts.sharesNetworkWith
  const ownAddress = joins === undefined && !network.isHost
  return {
    Image: parts.image,
    Entrypoint: definition.entryPoint,
    Cmd: override?.command ?? definition.command,
    Env: await environment(spec, network),
    User: definition.user,
    WorkingDir: definition.workingDirectory,
    Labels: all,
    Healthcheck: healthcheck(definition.healthCheck),
    AttachStdout: true,
    AttachStderr: true,
    HostConfig: {
      ...hostConfig(spec, all),
      NetworkMode: joins === undefined ? network.name : `container:${joins}`,
    },
    ...(ownAddress
      ? {
          NetworkingConfig: {
            EndpointsConfig: { [network.name]: { IPAMConfig: { IPv4Address: task.eni.privateIPv4Address } } },
          },
        }
      : {}),
  }
}

function hostConfig(spec: ContainerSpec, labels: Record<string, string>): Record<string, unknown> {
  const { task, definition } = spec
  const { capabilities = {}, initProcessEnabled, tmpfs = [] } = definition.linuxParameters ?? {}
  const memory = (definition.memory ?? Number(task.memory)) * MIB
  return {
    // Fargate has no swap, and limits a task as a whole; here each of its containers may use all of it.
    Memory: memory,
    MemorySwap: memory,
    NanoCpus: Math.round((Number(task.cpu) / 1_024) * SECOND),
    PidsLimit: PIDS_LIMIT,
    ReadonlyRootfs: definition.readonlyRootFilesystem ?? false,
    CapDrop: capabilities.drop ?? [],
    CapAdd: capabilities.add ?? [],
    SecurityOpt: ['no-new-privileges'],
    Init: initProcessEnabled ?? false,
    Ulimits: (definition.ulimits ?? []).map(({ name, softLimit, hardLimit }) => ({
      Name: name,
      Soft: softLimit,
      Hard: hardLimit,
    })),
    Tmpfs: Object.fromEntries(
      tmpfs.map(({ containerPath, size, mountOptions = [] }) => [
        containerPath,
        [`size=${size}m`, ...mountOptions].join(','),
      ]),
    ),
    Mounts: mounts(spec, labels),
    // All output is read as it comes, and kept by the runtime.
    LogConfig: { Type: 'none' },
  }
}

/** Mounted file systems are folders of this machine; other volumes are the task's own and begin as the image has them. */
function mounts({ task, definition, mounts: mounted }: ContainerSpec, labels: Record<string, string>): unknown[] {
  return (definition.mountPoints ?? []).flatMap(({ sourceVolume, containerPath, readOnly = false }) => {
    if (!sourceVolume || !containerPath) return []
    const mount = mounted.get(sourceVolume)
    if (mount)
      return [{ Type: 'bind', Source: mount.directory, Target: containerPath, ReadOnly: readOnly || mount.readOnly }]
    const Source = `covibes-${taskIdOf(task.taskArn)}-${sourceVolume}`
    return [{ Type: 'volume', Source, Target: containerPath, ReadOnly: readOnly, VolumeOptions: { Labels: labels } }]
  })
}

/** ECS looks at the definition's health check only: the image's own is switched off. */
function healthcheck(check: HealthCheck | undefined): Record<string, unknown> {
  if (!check) return { Test: ['NONE'] }
  const [kind = ''] = check.command
  const { interval = 30, timeout = 5, retries = 3, startPeriod = 0 } = check
  return {
    // ECS takes a command without CMD in front as CMD.
    Test: ['CMD', 'CMD-SHELL', 'NONE'].includes(kind) ? check.command : ['CMD', ...check.command],
    Interval: Math.round(interval * SECOND),
    Timeout: Math.round(timeout * SECOND),
    Retries: retries,
    StartPeriod: Math.round(startPeriod * SECOND),
  }
}

/**
 * A container's variables besides the image's own, from weakest to strongest: the definition's, RunTask's override, secrets,
 * the platform's. Addresses of this machine's loopback in them are replaced by those that the container reaches.
 */
async function environment(spec: ContainerSpec, network: TaskNetwork): Promise<string[]> {
  const { task, container, definition, secrets, metadataUri } = spec
  const override = task.overrides.containerOverrides?.find(({ name }) => name === container.name)
  const given: readonly KeyValue[] = [...(definition.environment ?? []), ...(override?.environment ?? [])]
  const set: Record<string, string> = {}
  for (const { name, value } of given) set[name] = await network.reach(value)
  const all: Record<string, string> = {
    ...set,
    ...secrets,
    AWS_REGION: REGION,
    AWS_DEFAULT_REGION: REGION,
    AWS_EXECUTION_ENV: 'AWS_ECS_FARGATE',
    ECS_CONTAINER_METADATA_URI_V4: await network.reach(metadataUri),
    ...(network.isHost ? { HOST: task.eni.privateIPv4Address } : {}),
  }
  return Object.entries(all).map(([name, value]) => `${name}=${value}`)
}
