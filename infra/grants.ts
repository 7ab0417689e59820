/**
 * What each capability of shared/contracts/functions.ts means in AWS: its variables and its permissions. This table is the only place
 * where a function gets either; `*` stands in a resource only with a reason beside it.
 */
import { ArnFormat, type Stack } from 'aws-cdk-lib'
import type { WebSocketStage } from 'aws-cdk-lib/aws-apigatewayv2'
import type { TableV2 } from 'aws-cdk-lib/aws-dynamodb'
import type { Cluster, FargateTaskDefinition } from 'aws-cdk-lib/aws-ecs'
import type { EventBus } from 'aws-cdk-lib/aws-events'
import { PolicyStatement } from 'aws-cdk-lib/aws-iam'
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager'
import type { Queue } from 'aws-cdk-lib/aws-sqs'
import type * as z from 'zod'
import type { Capability, capabilityEnv, FunctionId, functions } from '../shared/contracts/functions.ts'
import { tables } from '../shared/contracts/tables.ts'
import type { StageConfig } from './config.ts'

export type TableId = keyof typeof tables

/** A secret of this app or an imported one. */
export type SecretReference = Pick<ISecret, 'secretArn'>

export interface DataResources {
  readonly config: StageConfig
  readonly tables: Readonly<Record<TableId, TableV2>>
  readonly workQueue: Queue
  readonly eventBus: EventBus
  readonly jwtSecret: SecretReference
  readonly linkSecret: SecretReference
  /** Prefix of the names of the teams' secrets, without a slash at the end. */
  readonly teamSecretsPrefix: string
}
export interface SocketResources {
  readonly socketStage: WebSocketStage
}
export interface TaskResources {
  readonly cluster: Cluster
  readonly agentTask: {
    readonly definition: FargateTaskDefinition
    readonly family: string
    readonly container: string
  }
  readonly placement: {
    readonly subnetIds: readonly string[]
    readonly securityGroupIds: readonly string[]
    readonly publicIp: boolean
  }
}

export interface Permission {
  readonly actions: readonly string[]
  readonly resources: readonly string[]
  readonly conditions?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** Why a resource of it holds a `*`. */
  readonly wildcard?: string
}

export interface Grant<C extends Capability = Capability> {
  readonly environment: z.input<(typeof capabilityEnv)[C]>
  /** `stack` is the function's own: the account and region of ARNs. */
  readonly permissions: (stack: Stack) => readonly Permission[]
}

const READ = ['dynamodb:GetItem', 'dynamodb:BatchGetItem', 'dynamodb:Query']
/** A transaction is authorized by the actions of its parts, so TransactWriteItems needs no action of its own. */
const WRITE = ['dynamodb:PutItem', 'dynamodb:UpdateItem', 'dynamodb:DeleteItem', 'dynamodb:ConditionCheckItem']
/** Clearing many rows that need no condition: old terminal chunks. */
const BATCH = ['dynamodb:BatchWriteItem']

/** Actions on one table and, each by its name, its indexes. No Scan: that is for operators. */
function onTable({ tables: all }: DataResources, id: TableId, actions: readonly string[]): () => readonly Permission[] {
  const { tableArn } = all[id]
  const indexes = Object.keys(tables[id].indexes).map((index) => `${tableArn}/index/${index}`)
  return () => [
    { actions, resources: [tableArn] },
    ...(indexes.length > 0 ? [{ actions: ['dynamodb:Query'], resources: indexes }] : []),
  ]
}

const nothing = () => []

export const grants = {
  environments: (data: DataResources): Grant<'environments'> => ({
    environment: { ENVIRONMENTS_TABLE: data.tables.environments.tableName },
    permissions: onTable(data, 'environments', [...READ, ...WRITE]),
  }),
  'environments:read': (data: DataResources): Grant<'environments:read'> => ({
    environment: { ENVIRONMENTS_TABLE: data.tables.environments.tableName },
    permissions: onTable(data, 'environments', READ),
  }),
  connections: (data: DataResources): Grant<'connections'> => ({
    environment: { CONNECTIONS_TABLE: data.tables.connections.tableName },
    permissions: onTable(data, 'connections', [...READ, ...WRITE]),
  }),
  terminalLog: (data: DataResources): Grant<'terminalLog'> => ({
    environment: { TERMINAL_LOG_TABLE: data.tables.terminalLog.tableName },
    permissions: onTable(data, 'terminalLog', [...READ, ...WRITE, ...BATCH]),
  }),
  'terminalLog:read': (data: DataResources): Grant<'terminalLog:read'> => ({
    environment: { TERMINAL_LOG_TABLE: data.tables.terminalLog.tableName },
    permissions: onTable(data, 'terminalLog', READ),
  }),
  'flags:read': (data: DataResources): Grant<'flags:read'> => ({
    environment: {
      FLAGS_TABLE: data.tables.flags.tableName,
      USE_DOCKER_AGENTS: data.config.useDockerAgents ? 'true' : 'false',
    },
    permissions: onTable(data, 'flags', READ),
  }),
  workQueue: ({ workQueue }: DataResources): Grant<'workQueue'> => ({
    environment: { WORK_QUEUE_URL: workQueue.queueUrl },
    permissions: () => [{ actions: ['sqs:SendMessage'], resources: [workQueue.queueArn] }],
  }),
  eventBus: ({ eventBus }: DataResources): Grant<'eventBus'> => ({
    environment: { EVENT_BUS_NAME: eventBus.eventBusName },
    permissions: () => [{ actions: ['events:PutEvents'], resources: [eventBus.eventBusArn] }],
  }),
  socketPosts: ({ socketStage }: SocketResources): Grant<'socketPosts'> => ({
    environment: { WEBSOCKET_ENDPOINT: socketStage.callbackUrl },
    permissions: (stack) => [
      {
        actions: ['execute-api:ManageConnections'],
        resources: ['POST', 'GET', 'DELETE'].map((method) =>
          stack.formatArn({
            service: 'execute-api',
            resource: socketStage.api.apiId,
            resourceName: `${socketStage.stageName}/${method}/@connections/*`,
          }),
        ),
        wildcard: 'Connection ids are made by API Gateway at run time; the API, stage and method are fixed.',
      },
    ],
  }),
  runTasks: ({ config, cluster, agentTask, placement }: TaskResources & DataResources): Grant<'runTasks'> => ({
    environment: {
      CLUSTER_ARN: cluster.clusterArn,
      AGENT_TASK_DEFINITION: agentTask.definition.taskDefinitionArn,
      AGENT_CONTAINER: agentTask.container,
      TASK_SUBNETS: placement.subnetIds.join(','),
      TASK_SECURITY_GROUPS: placement.securityGroupIds.join(','),
      TASK_PUBLIC_IP: placement.publicIp ? 'ENABLED' : 'DISABLED',
      TASK_CAPACITY_PROVIDER: config.taskCapacityProvider,
    },
    permissions: (stack) => [
      {
        actions: ['ecs:RunTask'],
        resources: [
          stack.formatArn({ service: 'ecs', resource: 'task-definition', resourceName: `${agentTask.family}:*` }),
        ],
        conditions: inCluster(cluster),
        wildcard:
          'Every revision of the one task definition family: a deployment makes a new one while starts are under way.',
      },
      // RunTask copies the tags of the task definition to the task, which is an action of its own (ECS: "Tagging resources on creation").
      onTasks(stack, ['ecs:TagResource'], cluster, { StringEquals: { 'ecs:CreateAction': 'RunTask' } }),
      {
        actions: ['iam:PassRole'],
        resources: [agentTask.definition.taskRole.roleArn, agentTask.definition.obtainExecutionRole().roleArn],
        conditions: { StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' } },
      },
    ],
  }),
  stopTasks: ({ cluster }: TaskResources): Grant<'stopTasks'> => ({
    environment: { CLUSTER_ARN: cluster.clusterArn },
    permissions: (stack) => [onTasks(stack, ['ecs:StopTask'], cluster)],
  }),
  readTasks: ({ cluster }: TaskResources): Grant<'readTasks'> => ({
    environment: { CLUSTER_ARN: cluster.clusterArn },
    permissions: (stack) => [
      onTasks(stack, ['ecs:DescribeTasks'], cluster),
      {
        actions: ['ecs:ListTasks'],
        resources: ['*'],
        conditions: inCluster(cluster),
        wildcard:
          'ListTasks has no resource for Fargate tasks (only container instances); the cluster is its condition.',
      },
    ],
  }),
  jwtSecret: ({ jwtSecret }: DataResources): Grant<'jwtSecret'> => ({
    environment: { JWT_SECRET_ID: jwtSecret.secretArn },
    permissions: () => [{ actions: ['secretsmanager:GetSecretValue'], resources: [jwtSecret.secretArn] }],
  }),
  linkSecret: ({ linkSecret }: DataResources): Grant<'linkSecret'> => ({
    environment: { LINK_SECRET_ID: linkSecret.secretArn },
    permissions: () => [{ actions: ['secretsmanager:GetSecretValue'], resources: [linkSecret.secretArn] }],
  }),
  modelKeys: ({ config, teamSecretsPrefix }: DataResources): Grant<'modelKeys'> => ({
    environment: {
      TEAM_SECRETS_PREFIX: teamSecretsPrefix,
      ...(config.modelBaseUrl === undefined ? {} : { MODEL_BASE_URL: config.modelBaseUrl }),
    },
    permissions: (stack) => [
      {
        actions: ['secretsmanager:GetSecretValue'],
        resources: [
          stack.formatArn({
            service: 'secretsmanager',
            resource: 'secret',
            // Secrets Manager appends a hyphen and six characters of its own to every name.
            resourceName: `${teamSecretsPrefix}/*/model-key-??????`,
            arnFormat: ArnFormat.COLON_RESOURCE_NAME,
          }),
        ],
        wildcard: 'One secret a team, made by operators at run time; the rest of the name is fixed.',
      },
    ],
  }),
  existingServer: ({ config }: DataResources): Grant<'existingServer'> => ({
    environment: config.legacyApiUrl === undefined ? {} : { LEGACY_API_URL: config.legacyApiUrl },
    permissions: nothing,
  }),
} as const satisfies { [C in Capability]: (resources: never) => Grant<C> }

function inCluster(cluster: Cluster) {
  return { ArnEquals: { 'ecs:cluster': cluster.clusterArn } }
}

/** Actions on the tasks of one cluster: by their ARNs, which name it, and by the condition unless another one is given. */
function onTasks(
  stack: Stack,
  actions: readonly string[],
  cluster: Cluster,
  conditions: NonNullable<Permission['conditions']> = inCluster(cluster),
): Permission {
  return {
    actions,
    resources: [stack.formatArn({ service: 'ecs', resource: 'task', resourceName: `${cluster.clusterName}/*` })],
    conditions,
    wildcard: 'Task ids are made by ECS at run time; the cluster is fixed.',
  }
}

type Intersection<U> = (U extends unknown ? (value: U) => void : never) extends (value: infer I) => void ? I : never
type Uses<F extends FunctionId> = (typeof functions)[F]['uses'][number]
/** What a stack must have at hand to make this function: `object` for one that uses nothing. */
export type ResourcesFor<F extends FunctionId> = [Uses<F>] extends [never]
  ? object
  : Intersection<{ [C in Uses<F>]: Parameters<(typeof grants)[C]>[0] }[Uses<F>]>

/** The statement of a permission. */
export function statementOf(permission: Permission): PolicyStatement {
  const wild = permission.resources.some((resource) => resource.includes('*'))
  if (wild && permission.wildcard === undefined) throw new Error(`A wildcard without a reason: ${permission.resources}`)
  return new PolicyStatement({
    actions: [...permission.actions],
    resources: [...permission.resources],
    ...(permission.conditions === undefined ? {} : { conditions: permission.conditions }),
  })
}
