import { Match } from 'aws-cdk-lib/assertions'
import { describe, expect, it } from 'vitest'
import { tables } from '../../shared/contracts/tables.ts'
import { synthesized } from './support/synthesized.ts'

const stages = { local: synthesized('local'), production: synthesized('production') }

/** What loses data when CloudFormation replaces it: a changed logical id is a replacement. */
const STATEFUL = [
  'AWS::DynamoDB::GlobalTable',
  'AWS::SecretsManager::Secret',
  'AWS::SQS::Queue',
  'AWS::Events::EventBus',
  'AWS::EFS::FileSystem',
  'AWS::IAM::ManagedPolicy',
]

describe('tables', () => {
  it.each(Object.keys(stages) as (keyof typeof stages)[])(
    '%s: are those of the contract, restorable to any point in time',
    (stage) => {
      const made = stages[stage].ofType('AWS::DynamoDB::GlobalTable')
      expect(made).toHaveLength(Object.keys(tables).length)
      for (const [id, contract] of Object.entries(tables)) {
        const table = made.find(({ logicalId }) => logicalId.toLowerCase().startsWith(id.toLowerCase()))
        const keys = [contract.partitionKey, 'sortKey' in contract ? contract.sortKey : undefined].filter(Boolean)
        expect(table?.Properties.KeySchema.map((key: { AttributeName: string }) => key.AttributeName)).toEqual(keys)
        expect(table?.Properties.BillingMode).toBe('PAY_PER_REQUEST')
        expect(table?.Properties.TimeToLiveSpecification).toEqual(
          'ttl' in contract ? { AttributeName: contract.ttl, Enabled: true } : undefined,
        )
        const indexes = table?.Properties.GlobalSecondaryIndexes ?? []
        expect(indexes.map((index: { IndexName: string }) => index.IndexName)).toEqual(Object.keys(contract.indexes))
        expect(table?.Properties.Replicas).toEqual([
          expect.objectContaining({
            PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
            DeletionProtectionEnabled: stage === 'production',
          }),
        ])
      }
    },
  )

  it('project into their indexes what the contract says', () => {
    const projections = Object.fromEntries(
      stages.local
        .ofType('AWS::DynamoDB::GlobalTable')
        .flatMap(({ Properties }) => Properties.GlobalSecondaryIndexes ?? [])
        .map((index) => [index.IndexName, index.Projection]),
    )
    expect(projections).toEqual({
      'by-status': { ProjectionType: 'ALL' },
      outbox: { ProjectionType: 'KEYS_ONLY' },
      ping: { ProjectionType: 'INCLUDE', NonKeyAttributes: ['connectionId', 'sid'] },
    })
  })
})

describe('what outlives the stack', () => {
  it('is kept in production and removed elsewhere', () => {
    for (const [stage, expected] of [
      ['production', 'Retain'],
      ['local', 'Delete'],
    ] as const) {
      for (const type of [
        'AWS::DynamoDB::GlobalTable',
        'AWS::SecretsManager::Secret',
        'AWS::SQS::Queue',
        'AWS::Logs::LogGroup',
        'AWS::EFS::FileSystem',
        'AWS::IAM::ManagedPolicy',
      ]) {
        const policies = stages[stage]
          .ofType(type)
          .map(({ logicalId, DeletionPolicy }) => `${logicalId} ${DeletionPolicy}`)
        expect(policies.length).toBeGreaterThan(0)
        expect(policies.filter((policy) => !policy.endsWith(expected))).toEqual([])
      }
    }
  })

  it('keeps its logical ids', () => {
    const ids = STATEFUL.flatMap((type) => stages.production.ofType(type)).map(
      ({ stack, logicalId }) => `${stack}/${logicalId}`,
    )
    expect(ids.sort()).toMatchInlineSnapshot(`
      [
        "compute/ontaskstatechangedDeadLetters5A5C8A1E",
        "compute/reconciletasksDeadLettersDDE238C6",
        "compute/sweepoutboxDeadLetters366F82EF",
        "data/Connections827CEF2F",
        "data/EnvironmentsDC07A62C",
        "data/EventsD32975C2",
        "data/Flags586D4D3F",
        "data/InternalApiSecretFEBD2110",
        "data/JwtSecretB8834B39",
        "data/LinkSecret6774D112",
        "data/PreviewSecretB10C722C",
        "data/Previews34B4C4F9",
        "data/TerminalLogB20C6B5D",
        "data/WorkBF636A8B",
        "data/WorkDeadLetters429E96E8",
        "realtime/pingconnectionsDeadLettersBDF9F3BD",
        "workspace/Files8E6940B8",
        "workspace/TeamRoleBoundary7875B90C",
      ]
    `)
  })
})

describe('work queue', () => {
  it('takes only encrypted connections and gives up into a dead-letter queue', () => {
    const { data } = stages.production.templates
    data.hasResourceProperties('AWS::SQS::Queue', {
      RedrivePolicy: {
        maxReceiveCount: 5,
        deadLetterTargetArn: { 'Fn::GetAtt': [Match.stringLikeRegexp('WorkDeadLetters'), 'Arn'] },
      },
      VisibilityTimeout: 56,
      SqsManagedSseEnabled: true,
    })
    data.resourcePropertiesCountIs(
      'AWS::SQS::QueuePolicy',
      {
        PolicyDocument: {
          Statement: Match.arrayWith([
            Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
          ]),
        },
      },
      2,
    )
  })
})

describe('secrets', () => {
  it('are made without a value in the template', () => {
    const { data } = stages.production.templates
    for (const secret of stages.production.ofType('AWS::SecretsManager::Secret')) {
      expect(secret.Properties.SecretString).toBeUndefined()
      expect(secret.Properties.GenerateSecretString).toEqual({ ExcludePunctuation: true, PasswordLength: 64 })
    }
    data.hasResourceProperties('AWS::SecretsManager::Secret', { Name: 'covibes/production/jwt-secret' })
  })

  it("uses the existing server's own secret when its ARN is given", () => {
    const jwtSecretArn = 'arn:aws:secretsmanager:eu-central-1:111122223333:secret:server/jwt-AbCdEf'
    const imported = synthesized('production', { jwtSecretArn })
    expect(imported.ofType('AWS::SecretsManager::Secret').map(({ Properties }) => Properties.Name)).toEqual([
      'covibes/production/link-secret',
      'covibes/production/internal-api-secret',
      'covibes/production/preview-secret',
    ])
    imported.templates.api.hasResourceProperties('AWS::Lambda::Function', {
      FunctionName: 'covibes-production-authorize-user',
      Environment: { Variables: Match.objectLike({ JWT_SECRET_ID: jwtSecretArn }) },
    })
  })
})
