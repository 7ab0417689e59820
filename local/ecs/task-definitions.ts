import { arn } from '../assembly/account.ts'
import type { Resource } from '../assembly/cloud-assembly.ts'
import { AwsError } from '../common/aws-error.ts'
import { cpuUnits, isFargateSize, memoryMib } from './fargate-sizes.ts'
import type { ContainerDefinition, Tag, TaskDefinition, Volume } from './types.ts'

/** A resource of the synthesized template with all its intrinsics resolved. */
export type ResolvedResource = Pick<Resource, 'logicalId' | 'type' | 'ref' | 'arn' | 'properties'>

/** What RegisterTaskDefinition takes, as far as this runtime acts on it. */
export interface RegisterInput {
  readonly family?: string
  readonly containerDefinitions?: readonly ContainerDefinition[]
  readonly volumes?: readonly Volume[]
  readonly networkMode?: string
  readonly requiresCompatibilities?: readonly string[]
  readonly cpu?: string
  readonly memory?: string
  readonly taskRoleArn?: string
  readonly executionRoleArn?: string
  readonly runtimePlatform?: NonNullable<TaskDefinition['runtimePlatform']>
  readonly ephemeralStorage?: { readonly sizeInGiB: number }
  readonly tags?: readonly Tag[]
}

/** Property names whose values are maps with keys of the user's own, which must keep their case. */
const MAPS = new Set(['DockerLabels', 'Options', 'DriverOpts', 'Labels'])

/** Names that CloudFormation spells otherwise than the API, beyond the first letter's case. */
const RENAMED: Readonly<Record<string, string>> = {
  EFSVolumeConfiguration: 'efsVolumeConfiguration',
  FilesystemId: 'fileSystemId',
  IAM: 'iam',
}

/** Turns CloudFormation's property names into the API's: `ContainerDefinitions[].MountPoints` and so on. */
export function fromCloudFormation(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromCloudFormation)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      RENAMED[key] ?? key.charAt(0).toLowerCase() + key.slice(1),
      MAPS.has(key) ? inner : fromCloudFormation(inner),
    ]),
  )
}

/** An item that a call could not do, in the answer of a call that went well. */
export interface Failure {
  readonly arn: string
  readonly reason: string
  readonly detail: string
}

/**
 * All task definitions: those of the template, and those registered by call, which are the part that is persisted.
 * A family's revisions count up from 1 and are never used again.
 */
export interface TaskDefinitions {
  /** Registers a new revision. Throws ClientException for what Fargate would refuse. */
  register(input: RegisterInput): TaskDefinition
  /** Marks a revision INACTIVE: it can no longer be run, running tasks go on. */
  deregister(reference: string): TaskDefinition
  /**
   * Asks for the end of an INACTIVE revision: DELETE_IN_PROGRESS while a task uses it or it is its family's newest, gone
   * after that. One that is ACTIVE or unknown is a failure in the answer.
   */
  delete(reference: string, inUse: ReadonlySet<string>): TaskDefinition | { readonly failure: Failure }
  /** By ARN, `family:revision` or `family` (its newest ACTIVE revision); undefined when there is none. */
  find(reference: string): TaskDefinition | undefined
  /** All revisions, oldest first. */
  list(): readonly TaskDefinition[]
  /** Those registered by call, for the state file. */
  registered(): readonly TaskDefinition[]
}

/** Makes the registry from the template's `AWS::ECS::TaskDefinition` resources and what was registered before. */
export function createTaskDefinitions(options: {
  readonly resources: readonly ResolvedResource[]
  readonly registered: readonly TaskDefinition[]
  readonly now: () => number
}): TaskDefinitions {
  const { now } = options
  const byArn = new Map<string, TaskDefinition>()
  const ofTemplate = new Set<string>()
  const arnOf = (family: string, revision: number) => arn('ecs', `task-definition/${family}:${revision}`)

  function add(input: RegisterInput & { family: string }, knownArn = ''): TaskDefinition {
    const named = /:task-definition\/([^:/]+):(\d+)$/.exec(knownArn)
    const family = named?.[1] ?? input.family
    const revision = named ? Number(named[2]) : lastRevision(family) + 1
    const { cpu, memory, ...kept } = input
    const definition: TaskDefinition = {
      ...kept,
      taskDefinitionArn: arnOf(family, revision),
      family,
      revision,
      status: 'ACTIVE',
      containerDefinitions: input.containerDefinitions ?? [],
      volumes: input.volumes ?? [],
      tags: input.tags ?? [],
      registeredAt: now(),
      ...(cpu === undefined ? {} : { cpu: String(cpuUnits(String(cpu)) ?? cpu) }),
      ...(memory === undefined ? {} : { memory: String(memoryMib(String(memory)) ?? memory) }),
    }
    byArn.set(definition.taskDefinitionArn, definition)
    return definition
  }

  function lastRevision(family: string): number {
    let last = 0
    for (const { family: other, revision } of byArn.values()) if (other === family && revision > last) last = revision
    return last
  }

  for (const resource of options.resources) {
    if (resource.type !== 'AWS::ECS::TaskDefinition') continue
    const input = fromCloudFormation(resource.properties) as RegisterInput
    const knownArn = [resource.ref, resource.arn].find((name) => name.includes(':task-definition/'))
    ofTemplate.add(add({ ...input, family: input.family ?? resource.logicalId }, knownArn).taskDefinitionArn)
  }
  for (const definition of options.registered)
    if (!ofTemplate.has(definition.taskDefinitionArn)) byArn.set(definition.taskDefinitionArn, definition)

  function find(reference: string): TaskDefinition | undefined {
    const name = reference.replace(/^arn:[^/]*:task-definition\//, '')
    const [family = '', revision] = name.split(':')
    if (revision !== undefined) return byArn.get(arnOf(family, Number(revision)))
    let newest: TaskDefinition | undefined
    for (const definition of byArn.values())
      if (
        definition.family === family &&
        definition.status === 'ACTIVE' &&
        definition.revision > (newest?.revision ?? 0)
      )
        newest = definition
    return newest
  }

  return {
    register(input) {
      validateRegistration(input)
      return add(input as RegisterInput & { family: string })
    },
    deregister(reference) {
      const definition = find(reference)
      if (!definition) refuse('Unable to describe task definition.')
      if (definition.status === 'DELETE_IN_PROGRESS') refuse('The specified task definition is being deleted.')
      const inactive: TaskDefinition = { ...definition, status: 'INACTIVE', deregisteredAt: now() }
      byArn.set(inactive.taskDefinitionArn, inactive)
      return inactive
    },
    delete(reference, inUse) {
      const definition = find(reference)
      if (!definition)
        return { failure: { arn: reference, reason: 'MISSING', detail: 'The task definition was not found.' } }
      const arn = definition.taskDefinitionArn
      if (definition.status === 'ACTIVE')
        return {
          failure: {
            arn,
            reason: 'ACTIVE',
            detail:
              'The specified task definition is still in ACTIVE status. Please deregister the target and try again.',
          },
        }
      const deleted: TaskDefinition = { ...definition, status: 'DELETE_IN_PROGRESS', deleteRequestedAt: now() }
      byArn.set(arn, deleted)
      // A family's newest revision stays, so that its number is not given again.
      for (const { taskDefinitionArn, family, revision, status } of byArn.values())
        if (status === 'DELETE_IN_PROGRESS' && revision < lastRevision(family) && !inUse.has(taskDefinitionArn))
          byArn.delete(taskDefinitionArn)
      return deleted
    },
    find,
    list: () => [...byArn.values()],
    registered: () => [...byArn.values()].filter(({ taskDefinitionArn }) => !ofTemplate.has(taskDefinitionArn)),
  }
}

function refuse(message: string): never {
  throw new AwsError('ClientException', message)
}

/** A role by its ARN, or by its name alone. */
const ROLE = /^(arn:aws[-a-z]*:iam::\d{12}:role\/[\x21-\x7e]+|[\w+=,.@-]{1,64})$/

function validateRegistration(input: RegisterInput): void {
  if (!input.family) refuse('Family name should not be null or empty.')
  if (!/^[A-Za-z0-9_-]{1,255}$/.test(input.family)) refuse(`Invalid family name: ${input.family}`)
  const containers = input.containerDefinitions ?? []
  if (containers.length === 0) refuse('Container list cannot be empty.')
  if (containers.length > 10) refuse('Too many containers: a task definition has at most 10.')
  for (const container of containers) {
    if (!container.name) refuse('Container.name should not be null or empty.')
    if (!container.image) refuse('Container.image should not be null or empty.')
  }
  if (!containers.some((container) => container.essential !== false))
    refuse('At least one container in the task definition must be marked as essential.')
  for (const role of [input.taskRoleArn, input.executionRoleArn])
    if (role !== undefined && !ROLE.test(role)) refuse('Role is not valid')
  for (const { efsVolumeConfiguration: efs } of input.volumes ?? []) {
    if (!efs) continue
    const { accessPointId, iam } = efs.authorizationConfig ?? {}
    const encrypted = efs.transitEncryption === 'ENABLED'
    if ((accessPointId !== undefined || iam === 'ENABLED') && !encrypted)
      refuse('Transit encryption must be enabled when an EFS access point or IAM authorization is used.')
    if (accessPointId !== undefined && !['/', undefined, ''].includes(efs.rootDirectory))
      refuse('The root directory must be omitted or set to / when an EFS access point is used.')
  }
  if (!input.requiresCompatibilities?.includes('FARGATE')) return
  if (input.networkMode !== 'awsvpc') refuse("Fargate only supports network mode 'awsvpc'.")
  if (!input.cpu) refuse("Fargate requires that 'cpu' be defined at the task level.")
  if (!input.memory) refuse("Fargate requires that 'memory' be defined at the task level.")
  if (!isFargateSize(input.cpu, input.memory)) refuse('No Fargate configuration exists for given values.')
}

/** A task definition as the API answers it. */
export function taskDefinitionDocument(definition: TaskDefinition): Record<string, unknown> {
  const { tags: _tags, registeredAt, deregisteredAt, deleteRequestedAt, ...rest } = definition
  return {
    ...rest,
    compatibilities: ['EC2', 'FARGATE'],
    placementConstraints: [],
    registeredAt: registeredAt / 1_000,
    ...(deregisteredAt === undefined ? {} : { deregisteredAt: deregisteredAt / 1_000 }),
    ...(deleteRequestedAt === undefined ? {} : { deleteRequestedAt: deleteRequestedAt / 1_000 }),
  }
}
