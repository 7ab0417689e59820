import { Match } from 'aws-cdk-lib/assertions'
import { describe, expect, it } from 'vitest'
import { ECS_TASK_STATE_CHANGE } from '../../shared/contracts/domain-events.ts'
import {
  HEALTH_CHECK,
  PREVIEW_PORTS,
  STOP_TIMEOUT_SECONDS,
  SYNC_STOP_TIMEOUT_SECONDS,
} from '../../shared/contracts/limits.ts'
import { TEAM_TASK_KINDS, type TeamTaskKind } from '../../shared/contracts/team-resources.ts'
import { actionsOf, lambdaOf, statementsOf } from './support/roles.ts'
import { synthesized } from './support/synthesized.ts'

const app = synthesized('production')
const { compute } = app.templates
const definitionOf = (kind: string, { ofType } = app) =>
  ofType('AWS::ECS::TaskDefinition').find(({ Properties }) => Properties.ContainerDefinitions[0].Name === kind)

interface Kind {
  readonly kind: TeamTaskKind
  readonly size: { readonly Cpu: string; readonly Memory: string }
  /** Paths by volume; a team's files come first. */
  readonly readOnly?: Readonly<Record<string, string>>
  readonly writable: Readonly<Record<string, string>>
  readonly variables: readonly { readonly Name: string; readonly Value: string }[]
  readonly statusPort: number
  readonly stopTimeout: number
}

const KINDS: readonly Kind[] = [
  {
    kind: 'agent',
    size: { Cpu: '1024', Memory: '2048' },
    writable: { workspace: '/workspaces', home: '/home/node', tmp: '/tmp' },
    variables: [{ Name: 'COVIBES_WORKSPACE', Value: '/workspaces/workspace' }],
    statusPort: 8080,
    stopTimeout: STOP_TIMEOUT_SECONDS,
  },
  {
    kind: 'sync',
    size: { Cpu: '256', Memory: '512' },
    writable: { workspace: '/team', home: '/home/node', tmp: '/tmp' },
    variables: [{ Name: 'COVIBES_TEAM_ROOT', Value: '/team' }],
    statusPort: 8080,
    stopTimeout: SYNC_STOP_TIMEOUT_SECONDS,
  },
  {
    kind: 'preview',
    size: { Cpu: '512', Memory: '1024' },
    readOnly: { workspace: '/workspaces' },
    writable: { mirror: '/preview', cache: '/cache', home: '/home/node', tmp: '/tmp' },
    variables: [
      { Name: 'COVIBES_SHARED', Value: '/workspaces' },
      { Name: 'COVIBES_PREVIEW_DISK', Value: '/preview' },
      { Name: 'COVIBES_PREVIEW_CACHE', Value: '/cache' },
      { Name: 'PORT', Value: '9000' },
    ],
    statusPort: 9000,
    stopTimeout: STOP_TIMEOUT_SECONDS,
  },
]

describe.each(KINDS)('$kind task', ({ kind, size, readOnly = {}, writable, variables, statusPort, stopTimeout }) => {
  const definition = definitionOf(kind)
  const container = definition?.Properties.ContainerDefinitions[0]
  const roleId = (property: 'TaskRoleArn' | 'ExecutionRoleArn'): string =>
    definition?.Properties[property]['Fn::GetAtt'][0]

  it('is a Fargate task of the size and kind that the design names', () => {
    expect(definition?.Properties).toMatchObject({
      ...size,
      Family: `covibes-production-${kind}`,
      NetworkMode: 'awsvpc',
      RequiresCompatibilities: ['FARGATE'],
      RuntimePlatform: { CpuArchitecture: 'X86_64', OperatingSystemFamily: 'LINUX' },
    })
    const onArm = synthesized('local', { agentArchitecture: 'ARM64' })
    expect(definitionOf(kind, onArm)?.Properties).toMatchObject({ RuntimePlatform: { CpuArchitecture: 'ARM64' } })
  })

  it('runs without privileges on a read-only root', () => {
    expect(container).toMatchObject({
      User: '1000:1000',
      ReadonlyRootFilesystem: true,
      LinuxParameters: { Capabilities: { Drop: ['ALL'] } },
      StopTimeout: stopTimeout,
    })
    expect(container.Privileged).not.toBe(true)
    expect(container.MountPoints).toEqual(
      [readOnly, writable].flatMap((volumes) =>
        Object.entries(volumes).map(([SourceVolume, ContainerPath]) => ({
          SourceVolume,
          ContainerPath,
          ReadOnly: volumes === readOnly,
        })),
      ),
    )
    // A volume without configuration is a bind mount on the task's own disk; a team's definition puts its files in the first.
    expect(definition?.Properties.Volumes).toEqual(Object.keys({ ...readOnly, ...writable }).map((Name) => ({ Name })))
  })

  it('knows where its link goes and where its files are, and no secret', () => {
    expect(container.Environment).toEqual([{ Name: 'COVIBES_LINK_URL', Value: expect.anything() }, ...variables])
    expect(container.Secrets).toBeUndefined()
  })

  it('is probed by node at the interval of the design', () => {
    expect(container.HealthCheck).toMatchObject({
      Interval: HEALTH_CHECK.intervalSeconds,
      Timeout: HEALTH_CHECK.timeoutSeconds,
      Retries: HEALTH_CHECK.retries,
      StartPeriod: HEALTH_CHECK.startPeriodSeconds,
    })
    expect(container.HealthCheck.Command.slice(0, 3)).toEqual(['CMD', 'node', '-e'])
    expect(container.HealthCheck.Command[3]).toContain(`:${statusPort}/health`)
  })

  it('may do nothing', () => {
    expect(statementsOf(app, 'compute', roleId('TaskRoleArn'))).toEqual([])
    const role = app.ofType('AWS::IAM::Role').find(({ logicalId }) => logicalId === roleId('TaskRoleArn'))
    expect(role?.Properties.ManagedPolicyArns).toBeUndefined()
    expect(role?.Properties.AssumeRolePolicyDocument.Statement).toEqual([
      {
        Effect: 'Allow',
        Action: 'sts:AssumeRole',
        Principal: { Service: 'ecs-tasks.amazonaws.com' },
        Condition: {
          StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } },
          ArnLike: { 'aws:SourceArn': expect.objectContaining({ 'Fn::Join': expect.anything() }) },
        },
      },
    ])
  })

  it('is started by a role that pulls its image and writes its log, nothing else', () => {
    expect(actionsOf(statementsOf(app, 'compute', roleId('ExecutionRoleArn')))).toEqual([
      'ecr:BatchCheckLayerAvailability',
      'ecr:BatchGetImage',
      'ecr:GetAuthorizationToken',
      'ecr:GetDownloadUrlForLayer',
      'logs:CreateLogStream',
      'logs:PutLogEvents',
    ])
  })

  it('logs without ever blocking what runs in it', () => {
    expect(container.LogConfiguration).toMatchObject({ LogDriver: 'awslogs', Options: { mode: 'non-blocking' } })
    const group = app
      .ofType('AWS::Logs::LogGroup')
      .find(({ logicalId }) => logicalId === container.LogConfiguration.Options['awslogs-group'].Ref)
    expect(group?.Properties.RetentionInDays).toBe(90)
  })

  it("is the base of the teams' definitions that on-work makes in the same deployment", () => {
    const { Variables } = lambdaOf(app, 'production', 'on-work').Properties.Environment
    expect(Variables[`${kind.toUpperCase()}_TASK_DEFINITION`]).toEqual({ Ref: definition?.logicalId })
    expect(Variables[`${kind.toUpperCase()}_CONTAINER`]).toBe(container.Name)
  })
})

it('are all kinds of tasks', () => {
  expect(KINDS.map(({ kind }) => kind)).toEqual(TEAM_TASK_KINDS)
})

it('a preview says how it is on a port that no preview leases', () => {
  const { statusPort = 0 } = KINDS.find(({ kind }) => kind === 'preview') ?? {}
  expect(statusPort < PREVIEW_PORTS.min || statusPort > PREVIEW_PORTS.max).toBe(true)
})

describe('cluster', () => {
  it('offers both Fargate providers and is watched', () => {
    compute.hasResourceProperties('AWS::ECS::Cluster', {
      ClusterSettings: [{ Name: 'containerInsights', Value: 'enabled' }],
    })
    compute.hasResourceProperties('AWS::ECS::ClusterCapacityProviderAssociations', {
      CapacityProviders: ['FARGATE', 'FARGATE_SPOT'],
    })
  })
})

describe('events and work', () => {
  it("takes this cluster's task state changes only", () => {
    compute.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: {
        source: [ECS_TASK_STATE_CHANGE.source],
        'detail-type': [ECS_TASK_STATE_CHANGE.detailType],
        detail: { clusterArn: [{ 'Fn::GetAtt': [Match.stringLikeRegexp('^Cluster'), 'Arn'] }] },
      },
      Targets: [
        Match.objectLike({
          Arn: { 'Fn::GetAtt': [lambdaOf(app, 'production', 'on-task-state-changed').logicalId, 'Arn'] },
          RetryPolicy: { MaximumEventAgeInSeconds: 3600, MaximumRetryAttempts: 20 },
          DeadLetterConfig: Match.anyValue(),
        }),
      ],
    })
  })

  it('reports failed work message by message', () => {
    compute.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      FunctionName: { Ref: lambdaOf(app, 'production', 'on-work').logicalId },
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      BatchSize: 5,
      ScalingConfig: { MaximumConcurrency: 20 },
    })
  })

  it.each(['reconcile-tasks', 'sweep-outbox', 'ping-connections'] as const)(
    '%s runs every minute, and its absence is noticed',
    (id) => {
      const { logicalId } = lambdaOf(app, 'production', id)
      const rule = app
        .ofType('AWS::Events::Rule')
        .find(({ Properties }) => Properties.Targets[0].Arn['Fn::GetAtt'][0] === logicalId)
      expect(rule?.Properties).toMatchObject({ ScheduleExpression: 'rate(1 minute)', State: 'ENABLED' })
      const alarm = app
        .ofType('AWS::CloudWatch::Alarm')
        .find(
          ({ Properties }) =>
            Properties.MetricName === 'Invocations' && JSON.stringify(Properties.Dimensions).includes(`"${logicalId}"`),
        )
      expect(alarm?.Properties).toMatchObject({
        ComparisonOperator: 'LessThanThreshold',
        Threshold: 1,
        TreatMissingData: 'breaching',
      })
    },
  )
})

describe('alarms', () => {
  it("all go to the topic, which the account's alarms may publish to", () => {
    for (const { Properties } of app.ofType('AWS::CloudWatch::Alarm')) {
      expect(JSON.stringify(Properties.AlarmActions)).toContain('observability')
      expect(Properties.AlarmDescription).toBeTruthy()
    }
    app.templates.observability.hasResourceProperties('AWS::SNS::TopicPolicy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({
            Effect: 'Allow',
            Action: 'sns:Publish',
            Principal: { Service: 'cloudwatch.amazonaws.com' },
            Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
          }),
        ]),
      },
    })
  })
})
