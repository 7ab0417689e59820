import { describe, expect, it } from 'vitest'
import { resourcesOf, type Statement } from './support/roles.ts'
import { synthesized } from './support/synthesized.ts'

const app = synthesized('production')
const [fileSystem, another] = app.ofType('AWS::EFS::FileSystem')

describe('file system', () => {
  it('is one, encrypted, elastic, and backed up where data is kept', () => {
    expect(another).toBeUndefined()
    expect(fileSystem?.Properties).toMatchObject({
      Encrypted: true,
      PerformanceMode: 'generalPurpose',
      ThroughputMode: 'elastic',
      BackupPolicy: { Status: 'ENABLED' },
      LifecyclePolicies: [{ TransitionToIA: 'AFTER_30_DAYS' }, { TransitionToPrimaryStorageClass: 'AFTER_1_ACCESS' }],
    })
    expect(synthesized('local').ofType('AWS::EFS::FileSystem')[0]?.Properties.BackupPolicy).toBeUndefined()
  })

  it.each([
    ['public', synthesized('production')],
    ['private', synthesized('production', { natGateways: 1 })],
  ])('can be reached from every %s subnet that tasks run in', (_, { ofType }) => {
    const targets = ofType('AWS::EFS::MountTarget').map(({ Properties }) => Properties.SubnetId)
    const onWork = ofType('AWS::Lambda::Function').find(({ Properties }) =>
      Properties.FunctionName.endsWith('-on-work'),
    )
    const subnets = JSON.stringify(onWork?.Properties.Environment.Variables.TASK_SUBNETS)
    expect(targets).toHaveLength(2)
    for (const target of targets) expect(subnets).toContain(JSON.stringify(target))
  })

  it('lets NFS in, and from tasks only', () => {
    const group = app.ofType('AWS::EC2::SecurityGroup').find(({ stack }) => stack === 'workspace')
    const onWork = app
      .ofType('AWS::Lambda::Function')
      .find((found) => found.Properties.FunctionName === 'covibes-production-on-work')
    const { TASK_SECURITY_GROUPS, PREVIEW_SECURITY_GROUPS } = onWork?.Properties.Environment.Variables ?? {}
    expect(group?.Properties.SecurityGroupIngress).toEqual(
      [TASK_SECURITY_GROUPS, PREVIEW_SECURITY_GROUPS].map((SourceSecurityGroupId) =>
        expect.objectContaining({ IpProtocol: 'tcp', FromPort: 2049, ToPort: 2049, SourceSecurityGroupId }),
      ),
    )
    for (const target of app.ofType('AWS::EFS::MountTarget')) {
      expect(target.Properties.SecurityGroups).toEqual([{ 'Fn::GetAtt': [group?.logicalId, 'GroupId'] }])
    }
  })
})

describe('file system policy', () => {
  const statements: readonly (Statement & { readonly Sid: string })[] =
    fileSystem?.Properties.FileSystemPolicy.Statement

  it('allows nothing by itself: a role is allowed by its own policy', () => {
    expect(statements.map(({ Effect }) => Effect)).toEqual(statements.map(() => 'Deny'))
  })

  it('is about everybody, and about the file system that it belongs to', () => {
    for (const statement of statements) expect(statement).toMatchObject({ Principal: { AWS: '*' }, Resource: '*' })
  })

  it('uses only condition keys that EFS enforces for clients', () => {
    // EFS User Guide, "Using IAM to control access to file systems": "Any other condition keys are not enforced".
    const enforced = [
      'aws:SecureTransport',
      'elasticfilesystem:AccessPointArn',
      'elasticfilesystem:AccessedViaMountTarget',
    ]
    const used = statements.flatMap(({ Condition }) =>
      Object.values(Condition ?? {}).flatMap((keys) => Object.keys(keys)),
    )
    expect(used.filter((key) => !enforced.includes(key))).toEqual([])
  })
})

describe('the most that a role of a team can be allowed', () => {
  const [boundary] = app.ofType('AWS::IAM::ManagedPolicy')

  it('is to mount this file system and write to it, over TLS, through an access point', () => {
    const [statement, other] = boundary?.Properties.PolicyDocument.Statement ?? []
    expect(other).toBeUndefined()
    expect(statement).toMatchObject({
      Effect: 'Allow',
      Action: ['elasticfilesystem:ClientMount', 'elasticfilesystem:ClientWrite'],
      Resource: { 'Fn::GetAtt': [fileSystem?.logicalId, 'Arn'] },
      Condition: {
        Bool: { 'aws:SecureTransport': 'true', 'elasticfilesystem:AccessedViaMountTarget': 'true' },
        StringLike: { 'elasticfilesystem:AccessPointArn': expect.anything() },
      },
    })
    expect(resourcesOf({ ...statement, Resource: statement.Condition.StringLike })[0]).toContain(':access-point/*')
  })

  it('has a name that stays, because roles hold its ARN', () => {
    expect(boundary?.Properties.ManagedPolicyName).toBe('covibes-production-team-role-boundary')
  })
})

describe('alarms', () => {
  it('tell of a file system at its limit', () => {
    app.templates.workspace.hasResourceProperties('AWS::CloudWatch::Alarm', {
      Namespace: 'AWS/EFS',
      MetricName: 'PercentIOLimit',
      Dimensions: [{ Name: 'FileSystemId', Value: { Ref: fileSystem?.logicalId } }],
      Threshold: 80,
    })
  })
})
