import type { AwsOperation } from '../common/aws-call.ts'
import { AwsError } from '../common/aws-error.ts'
import type { TokenBucket } from '../common/token-bucket.ts'
import type { Cluster, Clusters } from './clusters.ts'
import { taskDocument } from './documents.ts'
import { REASONS } from './reasons.ts'
import { validateTags } from './run-task-input.ts'
import { type RegisterInput, type TaskDefinitions, taskDefinitionDocument } from './task-definitions.ts'
import type { TaskRun } from './task-run.ts'
import type { TaskStore } from './task-store.ts'
import type { Tag, Task } from './types.ts'

/** What the operations other than RunTask need. */
export interface OperationDependencies {
  readonly clusters: Clusters
  readonly definitions: TaskDefinitions
  readonly store: TaskStore
  /** The run of a task that has not stopped; undefined when it has. */
  readonly runOf: (task: Task) => TaskRun | undefined
  /** RegisterTaskDefinition's rate. */
  readonly registrations: TokenBucket
}

/** DescribeTasks takes at most this many tasks, and lists are cut into pages of at most this. */
const MAX_TASKS = 100
/** Source: the API reference of DeleteTaskDefinitions. */
const MAX_DELETIONS = 10

function invalid(message: string): never {
  throw new AwsError('InvalidParameterException', message)
}

/** Cuts a list into pages. The token is the place of the next item, so items that go meanwhile may shift a page. */
function page<Item>(
  items: readonly Item[],
  input: { nextToken?: string; maxResults?: number },
): { items: Item[]; nextToken?: string } {
  const size = input.maxResults ?? MAX_TASKS
  if (!Number.isInteger(size) || size < 1 || size > MAX_TASKS) invalid(`maxResults must be between 1 and ${MAX_TASKS}`)
  const from = input.nextToken === undefined ? 0 : Number(Buffer.from(input.nextToken, 'base64url').toString())
  if (!Number.isInteger(from) || from < 0) invalid('Invalid token')
  const to = from + size
  return {
    items: items.slice(from, to),
    ...(to < items.length ? { nextToken: Buffer.from(String(to)).toString('base64url') } : {}),
  }
}

function findTask(deps: OperationDependencies, cluster: Cluster, reference: unknown): Task | undefined {
  if (typeof reference !== 'string' || reference === '') invalid('taskId should not be null or empty.')
  const task = deps.store.task(reference)
  return task?.clusterArn === cluster.arn ? task : undefined
}

function listTasks(
  input: {
    cluster?: string
    family?: string
    startedBy?: string
    desiredStatus?: string
    launchType?: string
    nextToken?: string
    maxResults?: number
  },
  deps: OperationDependencies,
): Record<string, unknown> {
  const cluster = deps.clusters.get(input.cluster)
  const { family, startedBy, desiredStatus = 'RUNNING', launchType } = input
  if (!['RUNNING', 'PENDING', 'STOPPED'].includes(desiredStatus)) invalid(`Invalid desiredStatus: ${desiredStatus}`)
  const arns: string[] = []
  for (const task of deps.store.tasks())
    if (
      task.clusterArn === cluster.arn &&
      task.desiredStatus === desiredStatus &&
      (startedBy === undefined || task.startedBy === startedBy) &&
      (launchType === undefined || task.launchType === launchType) &&
      (family === undefined || /task-definition\/([^:]+):/.exec(task.taskDefinitionArn)?.[1] === family)
    )
      arns.push(task.taskArn)
  const { items, nextToken } = page(arns, input)
  return { taskArns: items, ...(nextToken ? { nextToken } : {}) }
}

function describeTasks(
  input: { cluster?: string; tasks?: string[]; include?: string[] },
  deps: OperationDependencies,
): Record<string, unknown> {
  const cluster = deps.clusters.get(input.cluster)
  const references = input.tasks ?? []
  if (references.length === 0) invalid('Tasks cannot be empty.')
  if (references.length > MAX_TASKS) invalid(`Tasks can have at most ${MAX_TASKS} items.`)
  const tags = input.include?.includes('TAGS') ?? false
  const tasks: unknown[] = []
  const failures: unknown[] = []
  for (const reference of references) {
    const task = findTask(deps, cluster, reference)
    if (task) tasks.push(taskDocument(task, { tags }))
    else {
      const arn = reference.startsWith('arn:')
        ? reference
        : `${cluster.arn.replace(':cluster/', ':task/')}/${reference}`
      failures.push({ arn, reason: REASONS.missing })
    }
  }
  return { tasks, failures }
}

async function stopTask(
  input: { cluster?: string; task?: string; reason?: string },
  deps: OperationDependencies,
): Promise<Record<string, unknown>> {
  const cluster = deps.clusters.get(input.cluster)
  const task = findTask(deps, cluster, input.task)
  if (!task) invalid('The referenced task was not found.')
  await deps.runOf(task)?.requestStop('UserInitiated', input.reason ?? REASONS.stoppedByUser)
  return { task: taskDocument(task, { tags: true }) }
}

function describeClusters(
  input: { clusters?: string[]; include?: string[] },
  deps: OperationDependencies,
): Record<string, unknown> {
  const clusters: unknown[] = []
  const failures: unknown[] = []
  for (const reference of input.clusters ?? ['default']) {
    const cluster = deps.clusters.find(reference)
    if (!cluster) {
      failures.push({ arn: reference, reason: REASONS.missing })
      continue
    }
    const own = [...deps.store.tasks()].filter(({ clusterArn }) => clusterArn === cluster.arn)
    clusters.push({
      clusterArn: cluster.arn,
      clusterName: cluster.name,
      status: 'ACTIVE',
      registeredContainerInstancesCount: 0,
      runningTasksCount: own.filter(({ lastStatus }) => lastStatus === 'RUNNING').length,
      pendingTasksCount: own.filter(({ lastStatus }) => ['PROVISIONING', 'PENDING'].includes(lastStatus)).length,
      activeServicesCount: 0,
      statistics: [],
      tags: [],
      settings: [],
      capacityProviders: [...cluster.capacityProviders],
      defaultCapacityProviderStrategy: [],
    })
  }
  return { clusters, failures }
}

function listTaskDefinitions(
  input: { familyPrefix?: string; status?: string; sort?: string; nextToken?: string; maxResults?: number },
  deps: OperationDependencies,
): Record<string, unknown> {
  const { familyPrefix, status = 'ACTIVE', sort = 'ASC' } = input
  const found = deps.definitions
    .list()
    // The API's familyPrefix is, despite its name, the whole family.
    .filter((each) => each.status === status && (familyPrefix === undefined || each.family === familyPrefix))
    .sort((one, other) => one.family.localeCompare(other.family) || one.revision - other.revision)
    .map(({ taskDefinitionArn }) => taskDefinitionArn)
  const { items, nextToken } = page(sort === 'DESC' ? found.reverse() : found, input)
  return { taskDefinitionArns: items, ...(nextToken ? { nextToken } : {}) }
}

/** The operations of Amazon ECS that this runtime carries out, but for RunTask. */
export function ecsOperations(deps: OperationDependencies): Record<string, AwsOperation> {
  const { definitions, store } = deps

  function describeTaskDefinition({ taskDefinition, include }: { taskDefinition?: string; include?: string[] }) {
    const definition = definitions.find(taskDefinition ?? '')
    if (!definition) throw new AwsError('ClientException', 'Unable to describe task definition.')
    const tags = include?.includes('TAGS') ? definition.tags : []
    return { taskDefinition: taskDefinitionDocument(definition), tags }
  }

  function taggedTask(arn: string | undefined): Task {
    const task = store.task(arn ?? '')
    if (!task) throw new AwsError('ResourceNotFoundException', 'The specified task could not be found.')
    return task
  }

  return {
    ListTasks: (input) => listTasks(input, deps),
    DescribeTasks: (input) => describeTasks(input, deps),
    StopTask: (input) => stopTask(input, deps),
    DescribeClusters: (input) => describeClusters(input, deps),
    ListClusters: () => ({ clusterArns: deps.clusters.list().map(({ arn }) => arn) }),
    DescribeTaskDefinition: describeTaskDefinition,
    ListTaskDefinitions: (input) => listTaskDefinitions(input, deps),
    async RegisterTaskDefinition(input: RegisterInput) {
      if (!deps.registrations.take()) throw new AwsError('ThrottlingException', 'Rate exceeded')
      validateTags(input.tags ?? [])
      const definition = definitions.register(input)
      await store.save()
      return { taskDefinition: taskDefinitionDocument(definition), tags: definition.tags }
    },
    async DeregisterTaskDefinition({ taskDefinition }: { taskDefinition?: string }) {
      if (!/:\d+$/.test(taskDefinition ?? '')) invalid('A revision is required: family:revision')
      const definition = definitions.deregister(taskDefinition ?? '')
      await store.save()
      return { taskDefinition: taskDefinitionDocument(definition) }
    },
    async DeleteTaskDefinitions({ taskDefinitions = [] }: { taskDefinitions?: string[] }) {
      if (taskDefinitions.length < 1 || taskDefinitions.length > MAX_DELETIONS)
        invalid(`Between 1 and ${MAX_DELETIONS} task definitions can be deleted at once.`)
      const inUse = new Set<string>()
      for (const task of store.tasks()) if (task.lastStatus !== 'STOPPED') inUse.add(task.taskDefinitionArn)
      const answers = taskDefinitions.map((reference) => definitions.delete(reference, inUse))
      await store.save()
      return {
        taskDefinitions: answers.flatMap((each) => ('failure' in each ? [] : [taskDefinitionDocument(each)])),
        failures: answers.flatMap((each) => ('failure' in each ? [each.failure] : [])),
      }
    },
    async TagResource({ resourceArn, tags = [] }: { resourceArn?: string; tags?: Tag[] }) {
      const task = taggedTask(resourceArn)
      const kept = task.tags.filter(({ key }) => !tags.some((tag) => tag.key === key))
      validateTags([...kept.filter(({ key }) => !key.startsWith('aws:')), ...tags])
      task.tags = [...kept, ...tags]
      await store.save()
      return {}
    },
    async UntagResource({ resourceArn, tagKeys = [] }: { resourceArn?: string; tagKeys?: string[] }) {
      const task = taggedTask(resourceArn)
      task.tags = task.tags.filter(({ key }) => !tagKeys.includes(key))
      await store.save()
      return {}
    },
    ListTagsForResource: ({ resourceArn }: { resourceArn?: string }) => ({ tags: taggedTask(resourceArn).tags }),
  }
}
