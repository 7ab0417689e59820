import { describe, expect, it } from 'vitest'
import {
  type Capability,
  capabilityEnv,
  type FunctionContract,
  type FunctionId,
  functionEnv,
  functions,
} from '../../shared/contracts/functions.ts'
import { actionsOf, lambdaOf, resourcesOf, statementsOf } from './support/roles.ts'
import { synthesized } from './support/synthesized.ts'

const app = synthesized('production', {
  legacyApiUrl: 'https://server.example/',
  modelBaseUrl: 'https://model.example/',
  previewDomain: 'preview.example.net',
  previewHostedZoneId: 'Z0',
})
const all = Object.entries<FunctionContract>(functions) as [FunctionId, FunctionContract][]

const READ = ['dynamodb:GetItem', 'dynamodb:BatchGetItem', 'dynamodb:Query']
const WRITE = ['dynamodb:PutItem', 'dynamodb:UpdateItem', 'dynamodb:DeleteItem', 'dynamodb:ConditionCheckItem']
/** What each capability may do at most, stated once more on purpose: infra/grants.ts is held against it. */
const ACTIONS: Readonly<Record<Capability, readonly string[]>> = {
  environments: [...READ, ...WRITE],
  'environments:read': READ,
  connections: [...READ, ...WRITE],
  terminalLog: [...READ, ...WRITE, 'dynamodb:BatchWriteItem'],
  'terminalLog:read': READ,
  'flags:read': READ,
  workQueue: ['sqs:SendMessage'],
  eventBus: ['events:PutEvents'],
  socketPosts: ['execute-api:ManageConnections'],
  runTasks: ['ecs:RunTask', 'ecs:TagResource', 'iam:PassRole'],
  stopTasks: ['ecs:StopTask'],
  readTasks: ['ecs:DescribeTasks', 'ecs:ListTasks'],
  jwtSecret: ['secretsmanager:GetSecretValue'],
  linkSecret: ['secretsmanager:GetSecretValue'],
  previews: [...READ, ...WRITE],
  previewIdle: [],
  previewLinks: ['secretsmanager:GetSecretValue'],
  internalApiSecret: ['secretsmanager:GetSecretValue'],
  modelKeys: ['secretsmanager:GetSecretValue'],
  gitCredentials: ['secretsmanager:GetSecretValue'],
  teamSecrets: ['secretsmanager:DeleteSecret'],
  teamResources: [
    ...['CreateAccessPoint', 'DescribeAccessPoints', 'DeleteAccessPoint', 'TagResource'].map(
      (action) => `elasticfilesystem:${action}`,
    ),
    ...['CreateRole', 'GetRole', 'TagRole', 'PutRolePolicy', 'DeleteRolePolicy', 'DeleteRole'].map(
      (action) => `iam:${action}`,
    ),
    ...['Register', 'Describe', 'Deregister'].map((action) => `ecs:${action}TaskDefinition`),
    'ecs:ListTaskDefinitions',
    'ecs:TagResource',
  ],
  repositories: [],
  existingServer: [],
}
/** What the platform does in a function's name: logs, traces, a queue's messages, the dead-letter queue. */
const EVERY_FUNCTION = [
  'logs:CreateLogStream',
  'logs:PutLogEvents',
  'xray:PutTelemetryRecords',
  'xray:PutTraceSegments',
]
const BY_TRIGGER: Readonly<Partial<Record<FunctionContract['trigger'], readonly string[]>>> = {
  event: ['sqs:SendMessage', 'sqs:GetQueueAttributes', 'sqs:GetQueueUrl'],
  schedule: ['sqs:SendMessage', 'sqs:GetQueueAttributes', 'sqs:GetQueueUrl'],
  queue: [
    'sqs:ReceiveMessage',
    'sqs:ChangeMessageVisibility',
    'sqs:GetQueueUrl',
    'sqs:DeleteMessage',
    'sqs:GetQueueAttributes',
  ],
}

/** Of what deploying puts in their places, the longest there is. */
const PSEUDO_PARAMETERS: Readonly<Record<string, string>> = {
  'AWS::Partition': 'aws-us-gov',
  'AWS::Region': 'ap-southeast-1',
  'AWS::AccountId': '0'.repeat(12),
  'AWS::URLSuffix': 'amazonaws.com',
}
/** An ARN of another stack's resource with a generated name; the longest in this app are tables'. */
const ARN_LENGTH =
  'arn:aws-us-gov:dynamodb:ap-southeast-1:000000000000:table/Covibes-production-data-EnvironmentsDC07A62C-0123456789AB'
    .length

/** A part of a template about as it is when deployed. */
function deployed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(deployed)
  if (typeof value !== 'object' || value === null) return value
  if ('Ref' in value) return PSEUDO_PARAMETERS[String(value.Ref)] ?? 'x'.repeat(ARN_LENGTH)
  if ('Fn::GetAtt' in value || 'Fn::ImportValue' in value) return 'x'.repeat(ARN_LENGTH)
  if ('Fn::Join' in value && Array.isArray(value['Fn::Join'])) {
    const [delimiter, parts] = value['Fn::Join']
    return parts.map(deployed).join(delimiter)
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, deployed(inner)]))
}

function roleStatements(id: FunctionId) {
  const lambda = lambdaOf(app, 'production', id)
  return statementsOf(app, lambda.stack, lambda.Properties.Role['Fn::GetAtt'][0])
}

describe('every function of the contract', () => {
  it('is in a template, and no other function is', () => {
    const names = app.ofType('AWS::Lambda::Function').map(({ Properties }) => Properties.FunctionName)
    expect(names.sort()).toEqual(all.map(([id]) => `covibes-production-${id}`).sort())
  })

  it.each(all)('%s: is built as its contract says', (id, contract) => {
    expect(lambdaOf(app, 'production', id).Properties).toMatchObject({
      Runtime: 'nodejs24.x',
      Architectures: ['arm64'],
      Handler: 'index.handler',
      Timeout: contract.timeoutSeconds,
      MemorySize: contract.memoryMb,
      TracingConfig: { Mode: 'Active' },
    })
  })

  it('may leave work to its own queue as often as it takes when a queue is its trigger, and nothing else may', () => {
    for (const [id, { trigger }] of all) {
      const { RecursiveLoop } = lambdaOf(app, 'production', id).Properties
      expect([id, RecursiveLoop]).toEqual([id, trigger === 'queue' ? 'Allow' : undefined])
    }
  })

  it.each(all)('%s: has exactly the variables of what it uses, and they parse', (id, contract) => {
    const { Variables } = lambdaOf(app, 'production', id).Properties.Environment
    const expected = contract.uses.flatMap((capability) => Object.keys(capabilityEnv[capability].shape))
    expect(Object.keys(Variables).sort()).toEqual(
      [...new Set([...expected, 'STAGE', 'POWERTOOLS_SERVICE_NAME', 'LOG_LEVEL', 'NODE_OPTIONS'])].sort(),
    )
    const resolved = Object.entries<unknown>(Variables).map(([key, value]) => [
      key,
      typeof value === 'string'
        ? value
        : key.endsWith('_URL') || key.endsWith('_ENDPOINT')
          ? 'https://x.example/'
          : 'x',
    ])
    expect(() => functionEnv(id, Object.fromEntries(resolved))).not.toThrow()
  })

  it.each(all)('%s: may do exactly what it uses', (id, contract) => {
    const expected = [
      ...EVERY_FUNCTION,
      ...(BY_TRIGGER[contract.trigger] ?? []),
      ...contract.uses.flatMap((capability) => ACTIONS[capability]),
    ]
    expect(actionsOf(roleStatements(id))).toEqual([...new Set(expected)].sort())
  })

  it.each(all)('%s: touches only the tables that it uses', (id, contract) => {
    const touched = roleStatements(id)
      .filter(({ Action }) => [Action].flat().some((action) => action.startsWith('dynamodb:')))
      .flatMap(resourcesOf)
      .map((resource) =>
        /(Environments|Connections|TerminalLog|Previews|Flags)[0-9A-F]{8}/.exec(resource)?.[1]?.toLowerCase(),
      )
    const used = contract.uses.map((capability) => capability.replace(':read', '').toLowerCase())
    const stores = ['environments', 'connections', 'terminallog', 'previews', 'flags']
    expect([...new Set(touched)].sort()).toEqual([...new Set(used.filter((use) => stores.includes(use)))].sort())
  })

  it.each(all)('%s: has no wildcard action, and * as a resource only where AWS has nothing narrower', (id) => {
    const statements = roleStatements(id)
    expect(actionsOf(statements).filter((action) => action.includes('*'))).toEqual([])
    const unbounded = statements.filter((statement) => resourcesOf(statement).includes('"*"'))
    const allowed = [
      'xray:PutTelemetryRecords',
      'xray:PutTraceSegments',
      'ecs:ListTasks',
      'ecs:DescribeTaskDefinition',
      'ecs:DeregisterTaskDefinition',
      'ecs:ListTaskDefinitions',
    ]
    expect(actionsOf(unbounded).filter((action) => !allowed.includes(action))).toEqual([])
    for (const statement of unbounded.filter(({ Action }) => [Action].flat().includes('ecs:ListTasks'))) {
      expect(statement.Condition).toEqual({ ArnEquals: { 'ecs:cluster': expect.anything() } })
    }
  })

  it.each(all)('%s: has policies that IAM takes', (id) => {
    // IAM quotas: 10,240 characters for all inline policies of a role.
    expect(JSON.stringify(deployed(roleStatements(id))).length).toBeLessThan(10_240)
  })

  it.each(all)('%s: logs into a group of its own with the retention of the stage', (id) => {
    const lambda = lambdaOf(app, 'production', id)
    const group = app
      .ofType('AWS::Logs::LogGroup')
      .find(({ logicalId }) => logicalId === lambda.Properties.LoggingConfig.LogGroup.Ref)
    expect(group?.Properties.RetentionInDays).toBe(90)
  })

  it.each(all)('%s: alarms when it fails and when it is refused', (id) => {
    const { logicalId } = lambdaOf(app, 'production', id)
    const metrics = app
      .ofType('AWS::CloudWatch::Alarm')
      .filter(({ Properties }) => JSON.stringify(Properties.Dimensions ?? []).includes(`"${logicalId}"`))
      .map(({ Properties }) => Properties.MetricName)
    expect(metrics).toEqual(expect.arrayContaining(['Errors', 'Throttles']))
  })
})

describe('functions that nobody waits for', () => {
  const asynchronous = all.filter(([, { trigger }]) => trigger === 'event' || trigger === 'schedule')

  it.each(asynchronous)('%s: leaves what it could not do in a queue that raises an alarm', (id, contract) => {
    const { logicalId, stack } = lambdaOf(app, 'production', id)
    const config = app
      .ofType('AWS::Lambda::EventInvokeConfig')
      .find(({ Properties }) => Properties.FunctionName.Ref === logicalId)
    const queueId: string = config?.Properties.DestinationConfig.OnFailure.Destination['Fn::GetAtt'][0]
    expect(config?.Properties.MaximumRetryAttempts).toBe(contract.trigger === 'schedule' ? 0 : 2)

    const target = app
      .ofType('AWS::Events::Rule')
      .flatMap(({ Properties }) => Properties.Targets)
      .find(({ Arn }) => Arn['Fn::GetAtt'][0] === logicalId)
    expect(target.DeadLetterConfig.Arn['Fn::GetAtt'][0]).toBe(queueId)

    const alarm = app
      .ofType('AWS::CloudWatch::Alarm')
      .find(({ Properties }) => JSON.stringify(Properties.Dimensions ?? []).includes(queueId))
    expect(alarm).toMatchObject({
      stack,
      Properties: { MetricName: 'ApproximateNumberOfMessagesVisible', Threshold: 1 },
    })
  })
})

describe('optional variables', () => {
  it('are absent when the stage has no value for them', () => {
    const bare = synthesized('local')
    expect(lambdaOf(bare, 'local', 'spawn-agent').Properties.Environment.Variables).not.toHaveProperty('LEGACY_API_URL')
    expect(lambdaOf(bare, 'local', 'on-link-message').Properties.Environment.Variables).not.toHaveProperty(
      'MODEL_BASE_URL',
    )
  })
})
