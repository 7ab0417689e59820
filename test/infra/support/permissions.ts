/**
 * IAM, as far as this app's policies go: what a call to AWS needs, and whether a function's role in the template allows it. The
 * one-machine runtime carries out every call; held against this, what runs there is also allowed in an account.
 */
import type { CloudAssembly } from '../../../local/assembly/cloud-assembly.ts'
import type { AwsCall } from '../../../local/common/aws-call.ts'
import { TEAM_TAGS } from '../../../shared/contracts/team-resources.ts'

export interface Need {
  readonly action: string
  readonly resource: string
  /** Condition keys that the call brings with it. */
  readonly context: Readonly<Record<string, string>>
}

interface Statement {
  readonly Effect: 'Allow' | 'Deny'
  readonly Action: string | readonly string[]
  readonly Resource: string | readonly string[]
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>
}

type Input = Readonly<Record<string, unknown>>
// biome-ignore lint/suspicious/noExplicitAny: inputs of a dozen operations, of which a field or two are read
type Fields = Record<string, any>

const arn = (service: string, resource: string, region = 'us-east-1') =>
  `arn:aws:${service}:${region}:000000000000:${resource}`
const table = (name: string) => arn('dynamodb', `table/${name}`)
const need = (action: string, resource: string, context: Need['context'] = {}): Need => ({ action, resource, context })
const lastOf = (text: string) => text.split('/').at(-1) ?? ''

const ITEM_OPERATIONS = ['GetItem', 'PutItem', 'UpdateItem', 'DeleteItem']
/** Actions that authorize the parts of a transaction. */
const TRANSACTION_PARTS: Readonly<Record<string, string>> = {
  Put: 'PutItem',
  Update: 'UpdateItem',
  Delete: 'DeleteItem',
  ConditionCheck: 'ConditionCheckItem',
}

function dynamodb(operation: string, input: Fields): Need[] {
  if (ITEM_OPERATIONS.includes(operation)) return [need(`dynamodb:${operation}`, table(input.TableName))]
  if (operation === 'Query' || operation === 'Scan') {
    const index = input.IndexName === undefined ? '' : `/index/${input.IndexName}`
    return [need(`dynamodb:${operation}`, table(input.TableName) + index)]
  }
  if (operation === 'BatchGetItem' || operation === 'BatchWriteItem') {
    return Object.keys(input.RequestItems).map((name) => need(`dynamodb:${operation}`, table(name)))
  }
  if (operation === 'TransactWriteItems') {
    return input.TransactItems.flatMap((item: Record<string, { TableName: string }>) =>
      Object.entries(item).map(([part, { TableName }]) =>
        need(`dynamodb:${TRANSACTION_PARTS[part] ?? part}`, table(TableName)),
      ),
    )
  }
  throw new Error(`What dynamodb ${operation} needs is not known here.`)
}

function ecs(operation: string, input: Fields): Need[] {
  const context = { 'ecs:cluster': input.cluster }
  const tasks = (all: readonly string[]) => all.map((task) => need(`ecs:${operation}`, task, context))
  switch (operation) {
    case 'RunTask': {
      const anyTask = arn('ecs', `task/${lastOf(input.cluster)}/0123456789abcdef`)
      const tags = input.propagateTags !== undefined || input.tags !== undefined
      return [
        need('ecs:RunTask', input.taskDefinition, context),
        ...(tags ? [need('ecs:TagResource', anyTask, { 'ecs:CreateAction': 'RunTask' })] : []),
      ]
    }
    case 'StopTask':
      return tasks([input.task])
    case 'DescribeTasks':
      return tasks(input.tasks)
    case 'ListTasks':
      return [need('ecs:ListTasks', '*', context)]
    case 'DescribeTaskDefinition':
    case 'DeregisterTaskDefinition':
    case 'ListTaskDefinitions':
      return [need(`ecs:${operation}`, '*')]
    case 'RegisterTaskDefinition': {
      const family = arn('ecs', `task-definition/${input.family}:*`)
      const passed = [input.taskRoleArn, input.executionRoleArn].filter((role) => role !== undefined)
      return [
        need('ecs:RegisterTaskDefinition', family),
        ...(input.tags === undefined
          ? []
          : [need('ecs:TagResource', family, { 'ecs:CreateAction': 'RegisterTaskDefinition' })]),
        ...passed.map((role) => need('iam:PassRole', role, { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' })),
      ]
    }
    default:
      throw new Error(`What ecs ${operation} needs is not known here.`)
  }
}

interface Tag {
  readonly Key: string
  readonly Value: string
}
const tagContext = (prefix: string, tags: readonly Tag[] = []) =>
  Object.fromEntries(tags.map(({ Key, Value }) => [`${prefix}/${Key}`, Value]))

/** `stored` tells what is there already and a call therefore brings with it: tags of access points, boundaries of roles. */
function efs(operation: string, input: Fields, stored: Stored): Need[] {
  const point = (id: string) => arn('elasticfilesystem', `access-point/${id}`)
  const onPoint = (id: string) => [
    need(`elasticfilesystem:${operation}`, point(id), tagContext('aws:ResourceTag', stored.tagsOf(id))),
  ]
  const fileSystem = arn('elasticfilesystem', `file-system/${input.FileSystemId}`)
  switch (operation) {
    case 'CreateAccessPoint':
      return [
        need('elasticfilesystem:CreateAccessPoint', fileSystem, tagContext('aws:RequestTag', input.Tags)),
        ...(input.Tags === undefined
          ? []
          : [
              need('elasticfilesystem:TagResource', point('fsap-0'), {
                'elasticfilesystem:CreateAction': 'CreateAccessPoint',
              }),
            ]),
      ]
    case 'DescribeAccessPoints':
      return input.AccessPointId === undefined
        ? [need('elasticfilesystem:DescribeAccessPoints', fileSystem)]
        : onPoint(input.AccessPointId)
    case 'DeleteAccessPoint':
      return onPoint(input.AccessPointId)
    default:
      throw new Error(`What efs ${operation} needs is not known here.`)
  }
}

const ROLE_OPERATIONS = ['GetRole', 'DeleteRole', 'TagRole']
const ROLE_POLICY_OPERATIONS = ['PutRolePolicy', 'DeleteRolePolicy']

function iam(operation: string, input: Fields, stored: Stored): Need[] {
  const boundary = (policy: string | undefined): Need['context'] =>
    policy === undefined ? {} : { 'iam:PermissionsBoundary': policy }
  if (operation === 'CreateRole') {
    const role = arn('iam', `role${input.Path ?? '/'}${input.RoleName}`, '')
    return [
      need('iam:CreateRole', role, boundary(input.PermissionsBoundary)),
      ...(input.Tags === undefined ? [] : [need('iam:TagRole', role)]),
    ]
  }
  const { arn: role, boundaryArn } = stored.role(input.RoleName)
  if (ROLE_OPERATIONS.includes(operation)) return [need(`iam:${operation}`, role)]
  if (ROLE_POLICY_OPERATIONS.includes(operation)) return [need(`iam:${operation}`, role, boundary(boundaryArn))]
  throw new Error(`What iam ${operation} needs is not known here.`)
}

/** What the services hold, as far as their answer to "may I?" depends on it. */
export interface Stored {
  /** Tags of an access point. */
  tagsOf(accessPointId: string): readonly Tag[]
  role(name: string): { readonly arn: string; readonly boundaryArn?: string | undefined }
}

/** Takes everything there is for this stage's own: for calls of a product that runs alone. */
export function ownTeams(assembly: CloudAssembly): Stored {
  const onWork = assembly.resources.find(
    ({ type, properties }) => type === 'AWS::Lambda::Function' && String(properties.FunctionName).endsWith('-on-work'),
  )
  const variables: Record<string, string> = (onWork?.properties as Fields | undefined)?.Environment.Variables ?? {}
  return {
    tagsOf: () => [{ Key: TEAM_TAGS.stage, Value: variables.STAGE ?? '' }],
    role: (name) => ({
      arn: arn('iam', `role${variables.TEAM_ROLE_PATH}${name}`, ''),
      boundaryArn: variables.TEAM_ROLE_BOUNDARY,
    }),
  }
}

const NOTHING_STORED: Stored = {
  tagsOf: () => [],
  role: (name) => ({ arn: arn('iam', `role/${name}`, '') }),
}

/** What IAM asks for when a function makes this call. Throws for an operation that this file does not know. */
export function needsOf(
  { service, operation, input }: Pick<AwsCall, 'service' | 'operation' | 'input'>,
  stored: Stored = NOTHING_STORED,
): Need[] {
  const fields: Fields = input satisfies Input
  switch (service) {
    case 'dynamodb':
      return dynamodb(operation, fields)
    case 'ecs':
      return ecs(operation, fields)
    case 'efs':
      return efs(operation, fields, stored)
    case 'iam':
      return iam(operation, fields, stored)
    case 'sqs':
      return [need(`sqs:${operation.replace(/Batch$/, '')}`, arn('sqs', lastOf(fields.QueueUrl)))]
    case 'secretsmanager': {
      const id: string = fields.SecretId
      // A secret's ARN ends in six characters of Secrets Manager's own; they do not stand in its name.
      return [
        need(`secretsmanager:${operation}`, id.startsWith('arn:') ? id : arn('secretsmanager', `secret:${id}-AbCdEf`)),
      ]
    }
    case 'eventbridge':
      return fields.Entries.map(({ EventBusName }: { EventBusName: string }) =>
        need(`events:${operation}`, arn('events', `event-bus/${lastOf(EventBusName)}`)),
      )
    case 'apigatewaymanagementapi': {
      const method = { PostToConnection: 'POST', GetConnection: 'GET', DeleteConnection: 'DELETE' }[operation]
      const resource = `API/${fields.stage}/${method}/@connections/${fields.ConnectionId}`
      return [need('execute-api:ManageConnections', arn('execute-api', resource))]
    }
    default:
      throw new Error(`What ${service} needs is not known here.`)
  }
}

/** Whether the role of a function allows what is needed, as the assembly's policies say. */
export function permissionsOf(assembly: CloudAssembly): (functionName: string, needed: Need) => boolean {
  const socketApi = assembly.resources.find(
    ({ type, properties }) => type === 'AWS::ApiGatewayV2::Api' && properties.ProtocolType === 'WEBSOCKET',
  )
  const policies = assembly.resources.filter(({ type }) => type === 'AWS::IAM::Policy')
  const statements = new Map(
    assembly.resources
      .filter(({ type }) => type === 'AWS::Lambda::Function')
      .map(({ properties }) => {
        const { FunctionName, Role }: Fields = properties
        const attached = policies.filter(({ properties: { Roles } }) => (Roles as string[]).includes(lastOf(Role)))
        const all = attached.flatMap(({ properties }) => (properties as Fields).PolicyDocument.Statement as Statement[])
        return [FunctionName as string, all] as const
      }),
  )
  return (functionName, needed) => {
    const resource = needed.resource.replace(':API/', `:${socketApi?.ref}/`)
    return (statements.get(functionName) ?? []).some((statement) => allows(statement, { ...needed, resource }))
  }
}

function allows({ Effect, Action, Resource, Condition = {} }: Statement, { action, resource, context }: Need): boolean {
  if (Effect !== 'Allow') throw new Error('Roles of this app only allow.')
  return (
    [Action].flat().includes(action) &&
    [Resource].flat().some((pattern) => isLike(resource, pattern)) &&
    Object.entries(Condition).every(([operator, keys]) => {
      if (operator !== 'ArnEquals' && operator !== 'StringEquals')
        throw new Error(`Condition ${operator} is not known here.`)
      return Object.entries(keys).every(([key, values]) => [values].flat().includes(context[key] ?? ''))
    })
  )
}

/** `*` is any text, `?` one character. */
function isLike(text: string, pattern: string): boolean {
  const expression = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${expression}$`, 's').test(text)
}
