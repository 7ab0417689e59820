import {
  ConflictException,
  DescribeTasksCommand,
  ECSClient,
  type Failure,
  InvalidParameterException,
  ListTasksCommand,
  RunTaskCommand,
  StopTaskCommand,
} from '@aws-sdk/client-ecs'
import { RUN_TASK_TIMEOUT_MS } from '../../contracts/limits.ts'
import type { TaskReader, TaskRunner, TaskStarted, TaskStopper } from '../../domain/environments/tasks.ts'
import { AWS_CLIENT_DEFAULTS } from '../aws-client-defaults.ts'
import { asServiceError, isRoleNotSeenYet, isThrottle } from '../service-errors.ts'
import { DescribedTaskSchema } from './task-schema.ts'

/** Where and how tasks run: the variables of the `runTasks` capability. */
export interface TaskPlacement {
  readonly CLUSTER_ARN: string
  readonly TASK_SUBNETS: readonly string[]
  /** Nobody may connect to these. */
  readonly TASK_SECURITY_GROUPS: readonly string[]
  /** The gateway may connect to these. */
  readonly PREVIEW_SECURITY_GROUPS: readonly string[]
  readonly TASK_PUBLIC_IP: 'ENABLED' | 'DISABLED'
  readonly TASK_CAPACITY_PROVIDER: 'FARGATE' | 'FARGATE_SPOT'
}

/** DescribeTasks takes 100 arns a call. */
const DESCRIBE_PAGE = 100

export function createTaskRunner(placement: TaskPlacement): TaskRunner {
  // One try a call: a repeat is the queue's, with the same token, so that an unclear answer is seen as one.
  const client = new ECSClient({
    ...AWS_CLIENT_DEFAULTS,
    maxAttempts: 1,
    requestHandler: { ...AWS_CLIENT_DEFAULTS.requestHandler, requestTimeout: RUN_TASK_TIMEOUT_MS },
  })
  return {
    async run({ kind, clientToken, startedBy, taskDefinition, container, size, environment }) {
      try {
        const { tasks = [], failures = [] } = await client.send(
          new RunTaskCommand({
            cluster: placement.CLUSTER_ARN,
            taskDefinition,
            capacityProviderStrategy: [{ capacityProvider: placement.TASK_CAPACITY_PROVIDER, weight: 1 }],
            count: 1,
            clientToken,
            startedBy,
            networkConfiguration: {
              awsvpcConfiguration: {
                subnets: [...placement.TASK_SUBNETS],
                securityGroups: [
                  ...(kind === 'preview' ? placement.PREVIEW_SECURITY_GROUPS : placement.TASK_SECURITY_GROUPS),
                ],
                assignPublicIp: placement.TASK_PUBLIC_IP,
              },
            },
            overrides: {
              cpu: String(size.cpu),
              memory: String(size.memory),
              containerOverrides: [
                {
                  name: container,
                  environment: Object.entries(environment).map(([name, value]) => ({ name, value })),
                },
              ],
            },
            propagateTags: 'TASK_DEFINITION',
          }),
        )
        const taskArn = tasks[0]?.taskArn
        if (taskArn) return { outcome: 'accepted', taskArn }
        const failure = failures[0]
        if (failure) return refusedByCapacity(failure)
        return { outcome: 'unclear', reason: 'ECS answered with neither a task nor a failure' }
      } catch (error) {
        return classify(error)
      }
    },
  }
}

/** `failures[]` of a 200 answer: no task was made. Capacity comes back, a missing attribute does not. */
function refusedByCapacity({ reason = 'no reason given', detail }: Failure): TaskStarted {
  const text = detail ? `${reason}: ${detail}` : reason
  return { outcome: 'refused', reason: text, retry: /^RESOURCE:|capacity|AGENT/i.test(reason) }
}

/** An error of ECS's with a 4xx is a definite no; a 5xx, a timeout or a broken connection says nothing about the task. */
function classify(error: unknown): TaskStarted {
  // The token was used with other parameters (a deployment came between two repeats): its task exists, and this is it.
  const [taskArn] = error instanceof ConflictException ? (error.resourceIds ?? []) : []
  if (taskArn !== undefined) return { outcome: 'accepted', taskArn }
  const said = asServiceError(error)
  const reason = `${said.name}: ${said.message}`
  if (said.status === undefined || said.status >= 500) return { outcome: 'unclear', reason }
  // A newer revision has taken its place since it was looked up.
  const isReplaced = /TaskDefinition is inactive/i.test(said.message)
  if (isReplaced || isRoleNotSeenYet(said)) return { outcome: 'too-early', reason }
  return { outcome: 'refused', reason, retry: isThrottle(said) || /limit on the number of tasks/i.test(said.message) }
}

export function createTaskStopper(clusterArn: string): TaskStopper {
  const client = new ECSClient(AWS_CLIENT_DEFAULTS)
  return {
    async stop(taskArn, reason) {
      try {
        await client.send(new StopTaskCommand({ cluster: clusterArn, task: taskArn, reason }))
      } catch (error) {
        // "The referenced task was not found": it has ended, and ECS has forgotten it.
        if (error instanceof InvalidParameterException && /not found/i.test(error.message)) return
        throw error
      }
    },
  }
}

export function createTaskReader(clusterArn: string): TaskReader {
  const client = new ECSClient(AWS_CLIENT_DEFAULTS)
  return {
    async listRunning() {
      const arns: string[] = []
      let nextToken: string | undefined
      do {
        const page = await client.send(
          new ListTasksCommand({ cluster: clusterArn, desiredStatus: 'RUNNING', ...(nextToken ? { nextToken } : {}) }),
        )
        arns.push(...(page.taskArns ?? []))
        nextToken = page.nextToken
      } while (nextToken)
      return arns
    },

    async describe(arns) {
      const tasks = []
      const missing: string[] = []
      for (let from = 0; from < arns.length; from += DESCRIBE_PAGE) {
        const page = await client.send(
          new DescribeTasksCommand({ cluster: clusterArn, tasks: arns.slice(from, from + DESCRIBE_PAGE) }),
        )
        tasks.push(...(page.tasks ?? []).map((task) => DescribedTaskSchema.parse(task)))
        missing.push(...(page.failures ?? []).flatMap(({ arn, reason }) => (arn && reason === 'MISSING' ? [arn] : [])))
      }
      return { tasks, missing }
    },
  }
}
