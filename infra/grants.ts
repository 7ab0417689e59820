/**
 * What each capability of shared/contracts/functions.ts means in AWS: its variables and its permissions. This table is the only place
 * where a function gets either; `*` stands in a resource only with a reason beside it.
 */
import { ArnFormat, type Stack } from 'aws-cdk-lib'
import { PolicyStatement } from 'aws-cdk-lib/aws-iam'
import type { Capability, FunctionId, functions } from '../shared/contracts/functions.ts'
import { tables } from '../shared/contracts/tables.ts'
import { TEAM_SECRETS } from '../shared/contracts/team-resources.ts'
import { previewOrigin, type StageConfig } from './config.ts'
import type { DataResources, Grant, Permission, SocketResources, TableId } from './resources.ts'
import { readTasks, runTasks, stopTasks, teamResources } from './task-grants.ts'

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
  runTasks,
  stopTasks,
  readTasks,
  teamResources,
  jwtSecret: ({ jwtSecret }: DataResources): Grant<'jwtSecret'> => ({
    environment: { JWT_SECRET_ID: jwtSecret.secretArn },
    permissions: () => [{ actions: ['secretsmanager:GetSecretValue'], resources: [jwtSecret.secretArn] }],
  }),
  linkSecret: ({ linkSecret }: DataResources): Grant<'linkSecret'> => ({
    environment: { LINK_SECRET_ID: linkSecret.secretArn },
    permissions: () => [{ actions: ['secretsmanager:GetSecretValue'], resources: [linkSecret.secretArn] }],
  }),
  previews: (data: DataResources): Grant<'previews'> => ({
    environment: { PREVIEWS_TABLE: data.tables.previews.tableName },
    permissions: onTable(data, 'previews', [...READ, ...WRITE]),
  }),
  previewIdle: ({ config }: DataResources): Grant<'previewIdle'> => ({
    environment: { PREVIEW_IDLE_MINUTES: String(config.previewIdleMinutes) },
    permissions: nothing,
  }),
  previewLinks: ({ config, previewSecret }: DataResources): Grant<'previewLinks'> => ({
    environment: {
      PREVIEW_SECRET_ID: previewSecret.secretArn,
      ...(config.previewDomain === undefined
        ? {}
        : { PREVIEW_ORIGIN_PATTERN: previewOrigin(config.previewDomain, '{label}') }),
    },
    permissions: () => [{ actions: ['secretsmanager:GetSecretValue'], resources: [previewSecret.secretArn] }],
  }),
  internalApiSecret: ({ internalApiSecret }: DataResources): Grant<'internalApiSecret'> => ({
    environment: { INTERNAL_API_SECRET_ID: internalApiSecret.secretArn },
    permissions: () => [{ actions: ['secretsmanager:GetSecretValue'], resources: [internalApiSecret.secretArn] }],
  }),
  modelKeys: ({ config, teamSecretsPrefix }: DataResources): Grant<'modelKeys'> => ({
    environment: {
      TEAM_SECRETS_PREFIX: teamSecretsPrefix,
      ...(config.modelBaseUrl === undefined ? {} : { MODEL_BASE_URL: config.modelBaseUrl }),
    },
    permissions: (stack) => [
      onTeamSecrets(stack, teamSecretsPrefix, 'secretsmanager:GetSecretValue', [TEAM_SECRETS.modelKey]),
    ],
  }),
  gitCredentials: ({ config, teamSecretsPrefix }: DataResources): Grant<'gitCredentials'> => ({
    environment: { TEAM_SECRETS_PREFIX: teamSecretsPrefix, ...loopback(config) },
    permissions: (stack) => [
      onTeamSecrets(stack, teamSecretsPrefix, 'secretsmanager:GetSecretValue', [TEAM_SECRETS.gitCredentials]),
    ],
  }),
  teamSecrets: ({ teamSecretsPrefix }: DataResources): Grant<'teamSecrets'> => ({
    environment: { TEAM_SECRETS_PREFIX: teamSecretsPrefix },
    permissions: (stack) => [
      onTeamSecrets(stack, teamSecretsPrefix, 'secretsmanager:DeleteSecret', Object.values(TEAM_SECRETS)),
    ],
  }),
  repositories: ({ config }: DataResources): Grant<'repositories'> => ({
    environment: loopback(config),
    permissions: nothing,
  }),
  existingServer: ({ config }: DataResources): Grant<'existingServer'> => ({
    environment: config.legacyApiUrl === undefined ? {} : { LEGACY_API_URL: config.legacyApiUrl },
    permissions: nothing,
  }),
} as const satisfies { [C in Capability]: (resources: never) => Grant<C> }

function loopback({ allowLoopbackRepositories }: StageConfig): Grant<'repositories'>['environment'] {
  return { ALLOW_LOOPBACK_REPOSITORIES: allowLoopbackRepositories ? 'true' : 'false' }
}

/**
 * An action on the secrets of these names of all teams. A secret's ARN ends in a hyphen and six characters of Secrets Manager's own
 * (its guide: `secret:name-??????`). A name that no secret has is decided on as it was asked for, without them: were it not granted,
 * too, a team without a secret would be refused (AccessDenied) where the code must be told that there is none (ResourceNotFound).
 */
function onTeamSecrets(stack: Stack, prefix: string, action: string, names: readonly string[]): Permission {
  return {
    actions: [action],
    resources: names.flatMap((name) =>
      [name, `${name}-??????`].map((ending) =>
        stack.formatArn({
          service: 'secretsmanager',
          resource: 'secret',
          resourceName: `${prefix}/*/${ending}`,
          arnFormat: ArnFormat.COLON_RESOURCE_NAME,
        }),
      ),
    ),
    wildcard: 'Secrets of teams, made by operators at run time; the rest of the name is fixed.',
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
