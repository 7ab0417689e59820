import { createHash, randomBytes, randomInt, randomUUID } from 'node:crypto'
import { arn, REGION } from '../assembly/account.ts'
import { AwsError } from '../common/aws-error.ts'
import type { TaskAddresses } from './backend.ts'
import type { Clusters } from './clusters.ts'
import { taskDocument } from './documents.ts'
import { runtimeIdOf } from './metadata-endpoint.ts'
import { REASONS } from './reasons.ts'
import { capacityOf, type RunTaskInput, validateAgainstDefinition, validateRunTaskShape } from './run-task-input.ts'
import type { TaskDefinitions } from './task-definitions.ts'
import type { TaskStore } from './task-store.ts'
import type { Container, Tag, Task, TaskDefinition } from './types.ts'

/** What RunTask needs. */
export interface RunTaskDependencies {
  readonly clusters: Clusters
  readonly definitions: TaskDefinitions
  readonly store: TaskStore
  readonly addresses: TaskAddresses
  readonly now: () => number
  /** More tasks than this at a time are refused with the account's vCPU limit. */
  readonly maxRunningTasks: number
  /** Whether ECS may take on a role for a task of this cluster. */
  readonly canAssumeRole: (roleArn: string, clusterArn: string) => boolean
  /** Sets a task going that is in the store. */
  readonly launch: (task: Task, definition: TaskDefinition) => void
}

/** JSON with sorted keys: the same parameters give the same text. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([one], [other]) => (one < other ? -1 : 1)))
      : inner,
  )
}

/**
 * RunTask. A call whose client token was used in the last 24 hours in the same cluster gets the tasks of the first call
 * when its parameters are the same, and a ConflictException when they are not. `refusal` answers with `failures[]` and
 * creates nothing.
 */
export async function runTask(
  input: RunTaskInput,
  deps: RunTaskDependencies,
  refusal?: { readonly reason?: string },
): Promise<Record<string, unknown>> {
  validateRunTaskShape(input)
  const cluster = deps.clusters.get(input.cluster)
  const { clientToken, ...parameters } = input
  const used = clientToken === undefined ? undefined : deps.store.token(cluster.arn, clientToken)
  if (used) return repeat(used.parameters === canonical(parameters), used.taskArns, deps.store)

  const definition = deps.definitions.find(input.taskDefinition ?? '')
  if (!definition) throw new AwsError('ClientException', 'TaskDefinition not found.')
  validateAgainstDefinition(input, definition)
  const capacityProvider = capacityOf(input, cluster.capacityProviders)
  assertRoles(input, definition, cluster.arn, deps.canAssumeRole)
  const refused = refusal ? (refusal.reason ?? REASONS.capacity) : atLimit(input.count ?? 1, deps)
  if (refused !== undefined) return { tasks: [], failures: [{ reason: refused }] }

  const tasks = Array.from({ length: input.count ?? 1 }, () =>
    newTask(input, definition, cluster.arn, cluster.name, capacityProvider, deps),
  )
  const token =
    clientToken === undefined
      ? undefined
      : {
          cluster: cluster.arn,
          token: clientToken,
          parameters: canonical(parameters),
          taskArns: tasks.map(({ taskArn }) => taskArn),
          usedAt: deps.now(),
        }
  const documents = tasks.map((task) => taskDocument(task, { tags: true }))
  await deps.store.add(tasks, token)
  for (const task of tasks) deps.launch(task, definition)
  return { tasks: documents, failures: [] }
}

/** Throws ClientException for a role that is not there or does not trust ECS, as RunTask does when a role is too new. */
function assertRoles(
  { overrides }: RunTaskInput,
  definition: TaskDefinition,
  clusterArn: string,
  canAssumeRole: RunTaskDependencies['canAssumeRole'],
): void {
  const roles = [
    overrides?.taskRoleArn ?? definition.taskRoleArn,
    overrides?.executionRoleArn ?? definition.executionRoleArn,
  ]
  for (const role of roles)
    if (role !== undefined && !canAssumeRole(role, clusterArn))
      throw new AwsError(
        'ClientException',
        `ECS was unable to assume the role '${role}' that was provided for this task. Please verify that the role being passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role.`,
      )
}

function repeat(sameParameters: boolean, taskArns: readonly string[], store: TaskStore): Record<string, unknown> {
  if (!sameParameters)
    throw new AwsError(
      'ConflictException',
      'The provided clientToken is already in use with a different RunTask request.',
      { fields: { resourceIds: taskArns } },
    )
  const tasks = taskArns.map((arn) => store.task(arn)).filter((task) => task !== undefined)
  return { tasks: tasks.map((task) => taskDocument(task, { tags: true })), failures: [] }
}

function atLimit(count: number, deps: RunTaskDependencies): string | undefined {
  let live = 0
  for (const { lastStatus } of deps.store.tasks()) if (lastStatus !== 'STOPPED') live += 1
  return live + count > deps.maxRunningTasks ? REASONS.vcpuLimit : undefined
}

function newTask(
  input: RunTaskInput,
  definition: TaskDefinition,
  clusterArn: string,
  clusterName: string,
  capacityProviderName: Task['capacityProviderName'],
  deps: RunTaskDependencies,
): Task {
  const id = randomBytes(16).toString('hex')
  const taskArn = arn('ecs', `task/${clusterName}/${id}`)
  const at = deps.now()
  const overridden = input.overrides?.containerOverrides ?? []
  const subnets = input.networkConfiguration?.awsvpcConfiguration?.subnets ?? []
  const subnetId = subnets[randomInt(subnets.length)] ?? ''
  return {
    taskArn,
    clusterArn,
    taskDefinitionArn: definition.taskDefinitionArn,
    group: input.group ?? `family:${definition.family}`,
    ...(input.startedBy ? { startedBy: input.startedBy } : {}),
    // Each subnet has one zone; here the zone is taken from the subnet's place in the list.
    availabilityZone: `${REGION}${'abc'.charAt(Math.max(0, subnets.indexOf(subnetId)) % 3)}`,
    launchType: 'FARGATE',
    ...(capacityProviderName ? { capacityProviderName } : {}),
    platformVersion: input.platformVersion === '1.3.0' ? '1.3.0' : '1.4.0',
    cpuArchitecture: definition.runtimePlatform?.cpuArchitecture === 'ARM64' ? 'arm64' : 'x86_64',
    cpu: input.overrides?.cpu ?? definition.cpu ?? '',
    memory: input.overrides?.memory ?? definition.memory ?? '',
    ephemeralStorageGiB: (input.overrides?.ephemeralStorage ?? definition.ephemeralStorage)?.sizeInGiB ?? 20,
    enableExecuteCommand: input.enableExecuteCommand ?? false,
    overrides: {
      ...input.overrides,
      // Every container is named in a task's overrides, with or without one of its own.
      containerOverrides: definition.containerDefinitions.map(
        ({ name }) => overridden.find((override) => override.name === name) ?? { name },
      ),
    },
    eni: {
      attachmentId: randomUUID(),
      networkInterfaceId: `eni-0${randomBytes(8).toString('hex')}`,
      macAddress: `0a:${(randomBytes(5).toString('hex').match(/../g) ?? []).join(':')}`,
      subnetId,
      privateIPv4Address: deps.addresses.allocate(),
    },
    eniStatus: 'PRECREATED',
    tags: tagsOf(input, definition, clusterName),
    version: 1,
    lastStatus: 'PROVISIONING',
    desiredStatus: 'RUNNING',
    createdAt: at,
    updatedAt: at,
    containers: definition.containerDefinitions.map(
      (container): Container => ({
        containerArn: arn('ecs', `container/${clusterName}/${id}/${randomUUID()}`),
        name: container.name,
        image: container.image,
        imageDigest: `sha256:${createHash('sha256').update(container.image).digest('hex')}`,
        cpu: String(container.cpu ?? 0),
        ...(container.memory === undefined ? {} : { memory: String(container.memory) }),
        ...(container.memoryReservation === undefined
          ? {}
          : { memoryReservation: String(container.memoryReservation) }),
        lastStatus: 'PENDING',
        runtimeId: runtimeIdOf(taskArn, randomInt(2 ** 32)),
        healthStatus: 'UNKNOWN',
      }),
    ),
  }
}

function tagsOf(input: RunTaskInput, definition: TaskDefinition, clusterName: string): Tag[] {
  const propagated = input.propagateTags === 'TASK_DEFINITION' ? definition.tags : []
  const managed = input.enableECSManagedTags ? [{ key: 'aws:ecs:clusterName', value: clusterName }] : []
  const own = input.tags ?? []
  const ownKeys = new Set(own.map(({ key }) => key))
  return [...managed, ...propagated.filter(({ key }) => !ownKeys.has(key)), ...own]
}
