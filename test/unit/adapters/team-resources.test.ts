/** What is made for a team at EFS, IAM and ECS: the exact requests, repeats after lost answers, and what counts as a no for good. */
import {
  ClientException,
  DeregisterTaskDefinitionCommand,
  DescribeTaskDefinitionCommand,
  ECSClient,
  ListTaskDefinitionsCommand,
  RegisterTaskDefinitionCommand,
} from '@aws-sdk/client-ecs'
import {
  AccessPointAlreadyExists,
  AccessPointLimitExceeded,
  AccessPointNotFound,
  CreateAccessPointCommand,
  DeleteAccessPointCommand,
  DescribeAccessPointsCommand,
  EFSClient,
  IncorrectFileSystemLifeCycleState,
} from '@aws-sdk/client-efs'
import {
  CreateRoleCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  EntityAlreadyExistsException,
  GetRoleCommand,
  IAMClient,
  LimitExceededException,
  NoSuchEntityException,
  PutRolePolicyCommand,
} from '@aws-sdk/client-iam'
import { DeleteSecretCommand, ResourceNotFoundException, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { mockClient } from 'aws-sdk-client-mock'
import { beforeEach, describe, expect, it } from 'vitest'
import { createTaskDefinitions } from '../../../shared/adapters/ecs/team-definitions.ts'
import { createAccessPoints } from '../../../shared/adapters/efs/access-points.ts'
import { createTeamRoles } from '../../../shared/adapters/iam/team-roles.ts'
import { createTeamSecrets } from '../../../shared/adapters/secrets-manager/team-secrets.ts'
import { NotPossible } from '../../../shared/domain/teams/ports.ts'

const efs = mockClient(EFSClient)
const iam = mockClient(IAMClient)
const ecs = mockClient(ECSClient)
const secretsManager = mockClient(SecretsManagerClient)
beforeEach(() => {
  for (const client of [efs, iam, ecs, secretsManager]) client.reset()
})

const settings = {
  STAGE: 'dev',
  FILE_SYSTEM_ID: 'fs-1',
  FILE_SYSTEM_ARN: 'arn:aws:elasticfilesystem:eu-west-1:123456789012:file-system/fs-1',
  TEAM_ROLE_PATH: '/covibes/dev/teams/',
  TEAM_NAME_PREFIX: 'covibes-dev-',
  TEAM_ROLE_BOUNDARY: 'arn:aws:iam::123456789012:policy/boundary',
  AGENT_TASK_DEFINITION: 'arn:agent:7',
  SYNC_TASK_DEFINITION: 'arn:sync:3',
  PREVIEW_TASK_DEFINITION: 'arn:preview:7',
  AGENT_CONTAINER: 'agent',
  SYNC_CONTAINER: 'sync',
  PREVIEW_CONTAINER: 'preview',
}
const owner = { teamId: 'team-1', incarnation: '0198c0de-0000-7000-8000-000000000001' }
const ACCESS_POINT = 'arn:aws:elasticfilesystem:eu-west-1:123456789012:access-point/fsap-1'
const refusal = <E extends object>(fields: E) => ({ $metadata: { httpStatusCode: 400 }, message: 'no', ...fields })
const throttle = Object.assign(new Error('Rate exceeded'), { name: 'Throttling', $metadata: { httpStatusCode: 400 } })
const fault = Object.assign(new Error('oops'), { name: 'ServiceFailure', $metadata: { httpStatusCode: 500 } })
const tagsOf = (tags: { Key?: string | undefined; Value?: string | undefined }[] = []) =>
  Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value]))
const stageTags = { 'covibes:stage': 'dev', 'covibes:team': 'team-1', 'covibes:incarnation': owner.incarnation }

describe('access points', () => {
  const accessPoints = createAccessPoints(settings)
  const made = { AccessPointId: 'fsap-1', AccessPointArn: ACCESS_POINT, LifeCycleState: 'creating' as const }

  it.each([
    ['agent', '/teams/team-1/shared'],
    ['sync', '/teams/team-1'],
    ['preview', '/teams/team-1/shared'],
    ['cache', '/teams/team-1/cache'],
  ] as const)('of %s see %s as the containers’ user, under a token of the incarnation', async (kind, path) => {
    efs.on(CreateAccessPointCommand).resolves(made)
    expect(await accessPoints.create(kind, owner)).toEqual({ id: 'fsap-1', arn: ACCESS_POINT, available: false })
    const input = efs.commandCalls(CreateAccessPointCommand)[0]?.args[0].input
    expect(input).toMatchObject({
      ClientToken: `${owner.incarnation}-${kind}`,
      FileSystemId: 'fs-1',
      PosixUser: { Uid: 1000, Gid: 1000 },
      RootDirectory: { Path: path, CreationInfo: { OwnerUid: 1000, OwnerGid: 1000 } },
    })
    expect(tagsOf(input?.Tags)).toMatchObject(stageTags)
    expect(input?.ClientToken?.length).toBeLessThanOrEqual(64)
  })

  it('that a lost call has made are taken', async () => {
    const exists = new AccessPointAlreadyExists(refusal({ ErrorCode: 'x', AccessPointId: 'fsap-1' }))
    efs.on(CreateAccessPointCommand).rejects(exists)
    efs.on(DescribeAccessPointsCommand).resolves({ AccessPoints: [{ ...made, LifeCycleState: 'available' }] })
    expect(await accessPoints.create('sync', owner)).toEqual({ id: 'fsap-1', arn: ACCESS_POINT, available: true })
  })

  it('are waited for while they are made, and for nothing else', async () => {
    efs.on(DescribeAccessPointsCommand).resolves({ AccessPoints: [made] })
    expect(await accessPoints.isAvailable('fsap-1')).toBe(false)
    efs.on(DescribeAccessPointsCommand).resolves({ AccessPoints: [{ ...made, LifeCycleState: 'available' }] })
    expect(await accessPoints.isAvailable('fsap-1')).toBe(true)
    efs.on(DescribeAccessPointsCommand).resolves({ AccessPoints: [{ ...made, LifeCycleState: 'error' }] })
    await expect(accessPoints.isAvailable('fsap-1')).rejects.toThrow(NotPossible)
    efs.on(DescribeAccessPointsCommand).resolves({ AccessPoints: [] })
    await expect(accessPoints.isAvailable('fsap-1')).rejects.toThrow(NotPossible)
  })

  it('deleted are no error when they are gone, though the right to delete them went with their tags', async () => {
    efs.on(DeleteAccessPointCommand).rejects(new AccessPointNotFound(refusal({ ErrorCode: 'x' })))
    await accessPoints.delete('fsap-1')
    const denied = Object.assign(new Error('denied'), { name: 'AccessDenied', $metadata: { httpStatusCode: 403 } })
    efs.on(DeleteAccessPointCommand).rejects(denied)
    efs
      .on(DescribeAccessPointsCommand)
      .resolves({ AccessPoints: [] })
      .on(DescribeAccessPointsCommand, { FileSystemId: 'fs-1' })
      .resolves({ AccessPoints: [{ AccessPointId: 'fsap-2' }], NextToken: 'more' })
      .on(DescribeAccessPointsCommand, { FileSystemId: 'fs-1', NextToken: 'more' })
      .resolves({ AccessPoints: [{ AccessPointId: 'fsap-1' }] })
    await expect(accessPoints.delete('fsap-1')).rejects.toThrow(NotPossible)
    await accessPoints.delete('fsap-3')
  })

  it.each([
    ['a full file system', new AccessPointLimitExceeded(refusal({ ErrorCode: 'x' })), true],
    ['a file system that is being changed', new IncorrectFileSystemLifeCycleState(refusal({ ErrorCode: 'x' })), false],
    ['a throttle', throttle, false],
    ['a fault of EFS', fault, false],
    ['no answer', new Error('socket hang up'), false],
  ])('%s is a no for good or not', async (_, error, isFinal) => {
    efs.on(CreateAccessPointCommand).rejects(error)
    const thrown = await accessPoints.create('sync', owner).catch((caught: unknown) => caught)
    expect(thrown instanceof NotPossible).toBe(isFinal)
    expect(String(thrown)).toContain(error.message)
  })
})

describe('roles', () => {
  const roles = createTeamRoles(settings)
  const Role = {
    Arn: 'arn:role',
    Tags: Object.entries({ ...stageTags, 'covibes:access-point': ACCESS_POINT }).map(([Key, Value]) => ({
      Key,
      Value,
    })),
  } as never

  it('may mount one access point, under the path, the boundary and the names that CDK pins', async () => {
    iam.on(CreateRoleCommand).resolves({ Role })
    expect(await roles.create('agent', owner, { agent: ACCESS_POINT })).toEqual({ arn: 'arn:role' })
    const input = iam.commandCalls(CreateRoleCommand)[0]?.args[0].input
    expect(input).toMatchObject({ Path: '/covibes/dev/teams/', PermissionsBoundary: settings.TEAM_ROLE_BOUNDARY })
    expect(input?.RoleName).toMatch(/^covibes-dev-agent-[0-9a-f]{24}$/)
    expect(tagsOf(input?.Tags)).toEqual({ ...stageTags, 'covibes:access-point': ACCESS_POINT })
    expect(JSON.parse(input?.AssumeRolePolicyDocument ?? '').Statement).toEqual([
      {
        Effect: 'Allow',
        Principal: { Service: 'ecs-tasks.amazonaws.com' },
        Action: 'sts:AssumeRole',
        Condition: {
          StringEquals: { 'aws:SourceAccount': '123456789012' },
          ArnLike: { 'aws:SourceArn': 'arn:aws:ecs:eu-west-1:123456789012:*' },
        },
      },
    ])
    const policy = iam.commandCalls(PutRolePolicyCommand)[0]?.args[0].input.PolicyDocument
    expect(JSON.parse(policy ?? '').Statement).toEqual([
      {
        Effect: 'Allow',
        Action: ['elasticfilesystem:ClientMount', 'elasticfilesystem:ClientWrite'],
        Resource: settings.FILE_SYSTEM_ARN,
        Condition: { StringEquals: { 'elasticfilesystem:AccessPointArn': ACCESS_POINT } },
      },
    ])
  })

  it('of previews may mount the files without writing, and write the cache, each through its own access point', async () => {
    iam.on(CreateRoleCommand).resolves({ Role })
    await roles.create('preview', owner, { preview: ACCESS_POINT, cache: `${ACCESS_POINT}c` })
    const policy = iam.commandCalls(PutRolePolicyCommand)[0]?.args[0].input.PolicyDocument
    const through = (arn: string) => ({ StringEquals: { 'elasticfilesystem:AccessPointArn': arn } })
    expect(JSON.parse(policy ?? '').Statement).toEqual([
      {
        Effect: 'Allow',
        Action: ['elasticfilesystem:ClientMount'],
        Resource: settings.FILE_SYSTEM_ARN,
        Condition: through(ACCESS_POINT),
      },
      {
        Effect: 'Allow',
        Action: ['elasticfilesystem:ClientMount', 'elasticfilesystem:ClientWrite'],
        Resource: settings.FILE_SYSTEM_ARN,
        Condition: through(`${ACCESS_POINT}c`),
      },
    ])
  })

  it('have names that differ by team and fit, however long the team’s id is', async () => {
    iam.on(CreateRoleCommand).resolves({ Role })
    for (const teamId of ['a'.repeat(64), `${'a'.repeat(63)}b`])
      await roles.create('agent', { ...owner, teamId }, { agent: ACCESS_POINT })
    const names = iam.commandCalls(CreateRoleCommand).map(({ args }) => args[0].input.RoleName ?? '')
    expect(new Set(names).size).toBe(2)
    for (const name of names) expect(name.length).toBeLessThanOrEqual(64)
  })

  it('that are there are taken if they are this incarnation’s, and their policy is put again', async () => {
    iam.on(CreateRoleCommand).rejects(new EntityAlreadyExistsException(refusal({})))
    iam.on(GetRoleCommand).resolves({ Role })
    expect(await roles.create('agent', owner, { agent: ACCESS_POINT })).toEqual({ arn: 'arn:role' })
    expect(iam.commandCalls(PutRolePolicyCommand)).toHaveLength(1)
    const other = { ...owner, incarnation: '0198c0de-0000-7000-8000-000000000002' }
    await expect(roles.create('agent', other, { agent: ACCESS_POINT })).rejects.toThrow(NotPossible)
    await expect(roles.create('agent', owner, { agent: `${ACCESS_POINT}2` })).rejects.toThrow(NotPossible)
    expect(iam.commandCalls(PutRolePolicyCommand)).toHaveLength(1)
  })

  it('that IAM does not show everywhere yet are worth a repeat', async () => {
    iam.on(CreateRoleCommand).resolves({ Role })
    iam.on(PutRolePolicyCommand).rejects(new NoSuchEntityException(refusal({})))
    await expect(roles.create('agent', owner, { agent: ACCESS_POINT })).rejects.toThrow(NoSuchEntityException)
  })

  it('over the account’s quota are a no for good; a throttle is not', async () => {
    iam.on(CreateRoleCommand).rejects(new LimitExceededException(refusal({ message: 'RolesPerAccount: 1000' })))
    await expect(roles.create('agent', owner, { agent: ACCESS_POINT })).rejects.toThrow(/IAM: .*RolesPerAccount: 1000/)
    iam.on(CreateRoleCommand).rejects(throttle)
    await expect(roles.create('agent', owner, { agent: ACCESS_POINT })).rejects.not.toThrow(NotPossible)
  })

  it('go with their policy, also when a repeat finds them gone; another incarnation’s stays', async () => {
    iam.on(GetRoleCommand).resolves({ Role })
    iam.on(DeleteRolePolicyCommand).rejects(new NoSuchEntityException(refusal({})))
    await roles.delete('agent', owner)
    expect(iam.commandCalls(DeleteRoleCommand)).toHaveLength(1)
    await roles.delete('agent', { ...owner, incarnation: 'another' })
    expect(iam.commandCalls(DeleteRoleCommand)).toHaveLength(1)
    iam.on(GetRoleCommand).rejects(new NoSuchEntityException(refusal({})))
    await roles.delete('agent', owner)
  })
})

describe('task definitions', () => {
  const definitions = createTaskDefinitions(settings)
  const base = {
    taskDefinitionArn: 'arn:agent:7',
    family: 'covibes-dev-agent',
    revision: 7,
    status: 'ACTIVE' as const,
    taskRoleArn: 'arn:nothing',
    executionRoleArn: 'arn:execution',
    networkMode: 'awsvpc' as const,
    requiresCompatibilities: ['FARGATE' as const],
    compatibilities: ['EC2' as const, 'FARGATE' as const],
    requiresAttributes: [{ name: 'x' }],
    registeredAt: new Date(),
    registeredBy: 'somebody',
    cpu: '1024',
    memory: '2048',
    containerDefinitions: [{ name: 'agent', image: 'image', mountPoints: [{ sourceVolume: 'workspace' }] }],
    volumes: [{ name: 'workspace', host: {} }, { name: 'tmp' }],
  }

  it('are the base with the team’s access point and role, and nothing that only ECS may say', async () => {
    ecs.on(DescribeTaskDefinitionCommand).resolves({ taskDefinition: base })
    ecs.on(RegisterTaskDefinitionCommand).resolves({ taskDefinition: { taskDefinitionArn: 'arn:team:1' } })
    const registered = await definitions.register('agent', owner, {
      accessPointIds: { agent: 'fsap-1' },
      roleArn: 'arn:role',
    })
    expect(registered).toEqual({ arn: 'arn:team:1', base: 'arn:agent:7' })
    expect(ecs.commandCalls(DescribeTaskDefinitionCommand)[0]?.args[0].input.taskDefinition).toBe('arn:agent:7')
    const input = ecs.commandCalls(RegisterTaskDefinitionCommand)[0]?.args[0].input
    expect(input).toEqual({
      family: expect.stringMatching(/^covibes-dev-agent-[0-9a-f]{24}$/),
      taskRoleArn: 'arn:role',
      executionRoleArn: 'arn:execution',
      networkMode: 'awsvpc',
      requiresCompatibilities: ['FARGATE'],
      cpu: '1024',
      memory: '2048',
      containerDefinitions: base.containerDefinitions,
      volumes: [
        {
          name: 'workspace',
          efsVolumeConfiguration: {
            fileSystemId: 'fs-1',
            transitEncryption: 'ENABLED',
            authorizationConfig: { accessPointId: 'fsap-1', iam: 'ENABLED' },
          },
        },
        { name: 'tmp' },
      ],
      tags: Object.entries(stageTags).map(([key, value]) => ({ key, value })),
    })
  })

  it.each([
    ['Too many concurrent attempts to create a new revision of the specified family.', false],
    ['User: x is not authorized to perform: iam:PassRole on resource: y', false],
    ['Role is not valid', false],
    ['Invalid setting for container', true],
  ])('"%s" is a no for good: %s', async (message, isFinal) => {
    ecs.on(DescribeTaskDefinitionCommand).resolves({ taskDefinition: base })
    ecs.on(RegisterTaskDefinitionCommand).rejects(new ClientException(refusal({ message })))
    const made = { accessPointIds: { agent: 'fsap-1' }, roleArn: 'arn:role' }
    const thrown = await definitions.register('agent', owner, made).catch((caught: unknown) => caught)
    expect(thrown instanceof NotPossible).toBe(isFinal)
  })

  it('of previews have two: the files and the cache', async () => {
    const volumes = [{ name: 'workspace' }, { name: 'mirror' }, { name: 'cache' }]
    ecs.on(DescribeTaskDefinitionCommand).resolves({ taskDefinition: { ...base, volumes } })
    ecs.on(RegisterTaskDefinitionCommand).resolves({ taskDefinition: { taskDefinitionArn: 'arn:team:1' } })
    const made = { accessPointIds: { preview: 'fsap-1', cache: 'fsap-2' }, roleArn: 'arn:role' }
    await definitions.register('preview', owner, made)
    const input = ecs.commandCalls(RegisterTaskDefinitionCommand)[0]?.args[0].input
    const through = input?.volumes?.map(({ name, efsVolumeConfiguration: efs }) => [
      name,
      efs?.authorizationConfig?.accessPointId,
      efs?.authorizationConfig?.iam,
      efs?.transitEncryption,
    ])
    expect(through).toEqual([
      ['workspace', 'fsap-1', 'ENABLED', 'ENABLED'],
      ['mirror', undefined, undefined, undefined],
      ['cache', 'fsap-2', 'ENABLED', 'ENABLED'],
    ])
    ecs.on(DescribeTaskDefinitionCommand).resolves({ taskDefinition: { ...base, volumes: volumes.slice(0, 2) } })
    await expect(definitions.register('preview', owner, made)).rejects.toThrow(/no volume cache/)
  })

  it('never mount the stage’s own volume: a base without a workspace is refused', async () => {
    ecs.on(DescribeTaskDefinitionCommand).resolves({ taskDefinition: { ...base, volumes: [] } })
    const made = { accessPointIds: { agent: 'fsap-1' }, roleArn: 'arn:role' }
    await expect(definitions.register('agent', owner, made)).rejects.toThrow(NotPossible)
  })

  it('of the family go, all but the one that is kept, page by page', async () => {
    ecs
      .on(ListTaskDefinitionsCommand)
      .resolvesOnce({ taskDefinitionArns: ['a:1', 'a:2'], nextToken: 'more' })
      .resolvesOnce({ taskDefinitionArns: ['a:3'] })
    await definitions.deregisterOthers('sync', owner, 'a:2')
    const gone = ecs.commandCalls(DeregisterTaskDefinitionCommand).map(({ args }) => args[0].input.taskDefinition)
    expect(gone).toEqual(['a:1', 'a:3'])
    const asked = ecs.commandCalls(ListTaskDefinitionsCommand)[0]?.args[0].input
    expect(asked).toMatchObject({ familyPrefix: expect.stringMatching(/^covibes-dev-sync-/), status: 'ACTIVE' })
  })
})

describe('secrets', () => {
  it('of the team are deleted by their names, those that are not there too', async () => {
    secretsManager
      .on(DeleteSecretCommand)
      .rejectsOnce(new ResourceNotFoundException(refusal({})))
      .resolves({})
    const secrets = createTeamSecrets('covibes/dev/teams')
    await secrets.deleteAll('team-1')
    const deleted = secretsManager.commandCalls(DeleteSecretCommand).map(({ args }) => args[0].input)
    expect(deleted).toEqual(
      ['model-key', 'git-credentials'].map((name) => ({
        SecretId: `covibes/dev/teams/team-1/${name}`,
        ForceDeleteWithoutRecovery: true,
      })),
    )
    await expect(secrets.deleteAll('team-1/../team-2')).rejects.toThrow()
    secretsManager.on(DeleteSecretCommand).rejects(fault)
    await expect(secrets.deleteAll('team-1')).rejects.toThrow('oops')
  })
})
