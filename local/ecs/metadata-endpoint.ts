import { createServer } from 'node:http'
import { closeServer, listen } from '../common/listen.ts'
import { type Container, type ContainerDefinition, type Task, type TaskDefinition, taskIdOf } from './types.ts'

/** What the endpoint tells of a container. */
export interface MetadataSubject {
  readonly task: Task
  readonly container: Container
  readonly definition: TaskDefinition
}

/** Serves the task metadata endpoint, version 4, of every task's containers. */
export interface MetadataEndpoint {
  /** The value of ECS_CONTAINER_METADATA_URI_V4 for a container's runtime id. */
  uri(runtimeId: string): string
  close(): Promise<void>
}

function isoOf(at: number | undefined): string | undefined {
  return at === undefined ? undefined : new Date(at).toISOString()
}

function containerDocument(subject: MetadataSubject, container: Container): Record<string, unknown> {
  const { task, definition } = subject
  const declared = definition.containerDefinitions.find(({ name }) => name === container.name) as ContainerDefinition
  return {
    DockerId: container.runtimeId,
    Name: container.name,
    DockerName: container.name,
    Image: container.image,
    ImageID: container.imageDigest,
    Labels: {
      'com.amazonaws.ecs.cluster': task.clusterArn,
      'com.amazonaws.ecs.container-name': container.name,
      'com.amazonaws.ecs.task-arn': task.taskArn,
      'com.amazonaws.ecs.task-definition-family': definition.family,
      'com.amazonaws.ecs.task-definition-version': String(definition.revision),
    },
    DesiredStatus: task.desiredStatus,
    KnownStatus: container.lastStatus,
    Limits: { CPU: declared.cpu ?? 0, ...(declared.memory === undefined ? {} : { Memory: declared.memory }) },
    CreatedAt: isoOf(task.pullStoppedAt),
    StartedAt: isoOf(task.startedAt),
    Type: 'NORMAL',
    ContainerARN: container.containerArn,
    Health: container.healthStatus === 'UNKNOWN' ? undefined : { status: container.healthStatus },
    Networks: [{ NetworkMode: 'awsvpc', IPv4Addresses: [task.eni.privateIPv4Address], AttachmentIndex: 0 }],
    Snapshotter: 'overlayfs',
  }
}

function taskMetadata(subject: MetadataSubject, tags: boolean): Record<string, unknown> {
  const { task, definition } = subject
  return {
    Cluster: task.clusterArn,
    TaskARN: task.taskArn,
    Family: definition.family,
    Revision: String(definition.revision),
    DesiredStatus: task.desiredStatus,
    KnownStatus: task.lastStatus,
    Limits: { CPU: Number(task.cpu) / 1_024, Memory: Number(task.memory) },
    PullStartedAt: isoOf(task.pullStartedAt),
    PullStoppedAt: isoOf(task.pullStoppedAt),
    AvailabilityZone: task.availabilityZone,
    LaunchType: task.launchType,
    Containers: task.containers.map((container) => containerDocument(subject, container)),
    ...(tags ? { TaskTags: Object.fromEntries(task.tags.map(({ key, value = '' }) => [key, value])) } : {}),
  }
}

/**
 * Starts the endpoint. On Fargate it is 169.254.170.2 and tells a container by where it calls from; here the runtime id
 * in the path, which begins with the task's id and is hard to guess, tells it.
 */
export async function createMetadataEndpoint(
  find: (runtimeId: string) => MetadataSubject | undefined,
): Promise<MetadataEndpoint> {
  const server = createServer((request, response) => {
    const [, runtimeId = '', part = ''] = /^\/v4\/([^/?]+)(?:\/([^?]*))?/.exec(request.url ?? '') ?? []
    const subject = find(runtimeId)
    const document = subject && documentOf(subject, part)
    const status = document === undefined ? 404 : 200
    const body = document ?? { message: `There is no metadata at ${request.url}` }
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  const url = await listen(server)
  return { uri: (runtimeId) => `${url}/v4/${runtimeId}`, close: () => closeServer(server) }
}

function documentOf(subject: MetadataSubject, part: string): Record<string, unknown> | undefined {
  switch (part) {
    case '':
      return containerDocument(subject, subject.container)
    case 'task':
      return taskMetadata(subject, false)
    case 'taskWithTags':
      return taskMetadata(subject, true)
    default:
      return undefined
  }
}

/** The runtime id of a container on Fargate: the task's id and a number. */
export function runtimeIdOf(taskArn: string, random: number): string {
  return `${taskIdOf(taskArn)}-${String(random).padStart(10, '0')}`
}
