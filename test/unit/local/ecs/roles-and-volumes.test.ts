import { readFile } from 'node:fs/promises'
import {
  DeleteTaskDefinitionsCommand,
  DeregisterTaskDefinitionCommand,
  DescribeTaskDefinitionCommand,
  type ECSClient,
  RegisterTaskDefinitionCommand,
  type RegisterTaskDefinitionCommandInput,
  StopTaskCommand,
} from '@aws-sdk/client-ecs'
import { CreateAccessPointCommand } from '@aws-sdk/client-efs'
import { CreateRoleCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam'
import { describe, expect, test } from 'vitest'
import { ACCESS_POINT, FILE_SYSTEM, FILE_SYSTEM_ARN, fileSystem, startEfs } from '../efs/support.ts'
import { startIam, TRUST } from '../iam/support.ts'
import { runOne, startEcs, stopped, template } from './support.ts'

const FOREVER = 'console.log("up"); setInterval(() => {}, 1000)'
const WRITER = 'import fs from "node:fs"; fs.writeFileSync(process.env.WORKSPACE + "/made", "by a task")'
const NO_ACCESS =
  "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: stderr: b'mount.nfs4: access denied by server while mounting 127.0.0.1:/' : unsuccessful EFS utils command execution; code: 32"

/** Nobody gets in without a role of his own. */
const POLICY = {
  Version: '2012-10-17',
  Statement: [
    { Effect: 'Deny', Principal: '*', Action: '*', Resource: '*', Condition: { Null: { 'aws:PrincipalArn': 'true' } } },
  ],
}

async function world(program = WRITER) {
  const { iam, client: iamClient } = await startIam()
  const { efs, client: efsClient } = await startEfs({ resources: [fileSystem(POLICY)], allows: iam.allows })
  const { AccessPointId: accessPointId = '' } = await efsClient.send(new CreateAccessPointCommand(ACCESS_POINT))
  const role = async (RoleName: string, trust = TRUST) => {
    const { Role } = await iamClient.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: trust }))
    return Role?.Arn ?? ''
  }
  const allow = (RoleName: string) =>
    iamClient.send(
      new PutRolePolicyCommand({
        RoleName,
        PolicyName: 'mount',
        PolicyDocument: JSON.stringify({
          Statement: { Effect: 'Allow', Action: 'elasticfilesystem:*', Resource: FILE_SYSTEM_ARN },
        }),
      }),
    )
  const ecs = await startEcs(program, {
    resources: template({
      Environment: [{ Name: 'WORKSPACE', Value: '/workspaces/main' }],
      MountPoints: [{ SourceVolume: 'workspace', ContainerPath: '/workspaces/main' }],
    }),
    mountEfs: efs.mount,
    canAssumeRole: (arn, clusterArn) => iam.canAssume(arn, 'ecs-tasks.amazonaws.com', { 'aws:SourceArn': clusterArn }),
  })
  return { ...ecs, role, allow, efs, accessPointId }
}

/** As `on-work` does it: the stage's definition with another volume and role, under a family of the team's own. */
async function registerForTeam(client: ECSClient, taskRoleArn: string, accessPointId: string) {
  const { taskDefinition: base } = await client.send(new DescribeTaskDefinitionCommand({ taskDefinition: 'agent' }))
  const input: RegisterTaskDefinitionCommandInput = {
    ...base,
    family: 'team-a',
    containerDefinitions: base?.containerDefinitions,
    requiresCompatibilities: base?.requiresCompatibilities,
    taskRoleArn,
    volumes: [
      {
        name: 'workspace',
        efsVolumeConfiguration: {
          fileSystemId: FILE_SYSTEM,
          transitEncryption: 'ENABLED',
          authorizationConfig: { accessPointId, iam: 'ENABLED' },
        },
      },
    ],
  }
  const { taskDefinition } = await client.send(new RegisterTaskDefinitionCommand(input))
  return taskDefinition?.taskDefinitionArn ?? ''
}

describe('a task with a role and a workspace of its team', () => {
  test('finds it at its mount point, and what it writes is there for the next one', async () => {
    const { client, events, until, role, allow, efs, accessPointId } = await world()
    const taskRoleArn = await role('team-a')
    await allow('team-a')
    const taskDefinition = await registerForTeam(client, taskRoleArn, accessPointId)
    const { taskArn } = await runOne(client, { taskDefinition })
    expect(await until(() => stopped(events, taskArn))).toMatchObject({ containers: [{ exitCode: 0 }] })
    const request = { fileSystemId: FILE_SYSTEM, accessPointId, iam: 'ENABLED', taskRoleArn }
    const { directory } = await efs.mount({ ...request, transitEncryption: 'ENABLED' })
    expect(await readFile(`${directory}/made`, 'utf8')).toBe('by a task')
  })

  test('does not start when the policies do not let it in, or the access point is not there', async () => {
    const { client, events, until, lines, role, allow, accessPointId } = await world(FOREVER)
    const taskRoleArn = await role('team-a')
    const shut = await runOne(client, { taskDefinition: await registerForTeam(client, taskRoleArn, accessPointId) })
    const detail = await until(() => stopped(events, shut.taskArn))
    expect(detail).toMatchObject({ stopCode: 'TaskFailedToStart', stoppedReason: NO_ACCESS })
    expect(detail).not.toHaveProperty('startedAt')
    await allow('team-a')
    const gone = await runOne(client, { taskDefinition: await registerForTeam(client, taskRoleArn, 'fsap-0000') })
    expect(await until(() => stopped(events, gone.taskArn))).toMatchObject({ stoppedReason: NO_ACCESS })
    expect(lines).toEqual([])
  })

  test('is refused when its role is not there, or does not trust ECS', async () => {
    const { client, role, accessPointId } = await world()
    const refusal = (arn: string) => ({
      name: 'ClientException',
      message: `ECS was unable to assume the role '${arn}' that was provided for this task. Please verify that the role being passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role.`,
    })
    const none = 'arn:aws:iam::000000000000:role/none'
    const taskDefinition = await registerForTeam(client, none, accessPointId)
    await expect(runOne(client, { taskDefinition })).rejects.toMatchObject(refusal(none))
    const foreign = await role('lambda', TRUST.replace('ecs-tasks', 'lambda'))
    const overrides = { taskRoleArn: foreign }
    await expect(runOne(client, { taskDefinition, overrides })).rejects.toMatchObject(refusal(foreign))
  })
})

test('a role that IAM has not spread yet is refused, and found a moment later', async () => {
  let at = 0
  const { iam, client: iamClient } = await startIam({ propagationMs: 5_000, now: () => at })
  const { Role } = await iamClient.send(new CreateRoleCommand({ RoleName: 'new', AssumeRolePolicyDocument: TRUST }))
  const seen = () => iam.canAssume(Role?.Arn ?? '', 'ecs-tasks.amazonaws.com', {})
  expect(seen()).toBe(false)
  at += 5_000
  expect(seen()).toBe(true)
})

const DEFINITION: RegisterTaskDefinitionCommandInput = {
  family: 'team-a',
  cpu: '256',
  memory: '512',
  networkMode: 'awsvpc',
  requiresCompatibilities: ['FARGATE'],
  containerDefinitions: [{ name: 'agent', image: 'agent-image:1' }],
}
const volume = (efsVolumeConfiguration: object) => ({
  volumes: [{ name: 'w', efsVolumeConfiguration: { fileSystemId: FILE_SYSTEM, ...efsVolumeConfiguration } }],
})

test.each([
  ['a role that is none', { taskRoleArn: 'arn:aws:iam::1:user/x' }, 'Role is not valid'],
  ['an access point without TLS', volume({ authorizationConfig: { accessPointId: 'fsap-1' } }), /Transit encryption/],
  ['IAM without TLS', volume({ authorizationConfig: { iam: 'ENABLED' } }), /Transit encryption/],
  [
    'an access point and a root directory',
    volume({ transitEncryption: 'ENABLED', rootDirectory: '/x', authorizationConfig: { accessPointId: 'fsap-1' } }),
    /root directory must be omitted/,
  ],
])('a task definition with %s is refused', async (_what, change, message) => {
  const { client } = await startEcs('')
  const register = client.send(new RegisterTaskDefinitionCommand({ ...DEFINITION, ...change }))
  await expect(register).rejects.toMatchObject({ name: 'ClientException', message: expect.stringMatching(message) })
})

test('RegisterTaskDefinition is throttled beyond its burst', async () => {
  const { client } = await startEcs('', { registrationRate: { burst: 2, perSecond: 0 } })
  const register = () => client.send(new RegisterTaskDefinitionCommand(DEFINITION))
  await register()
  await register()
  await expect(register()).rejects.toMatchObject({ name: 'ThrottlingException', message: 'Rate exceeded' })
})

test('deregistered task definitions can be deleted; what runs goes on, and numbers are not given again', async () => {
  const { client, events, until } = await startEcs(FOREVER)
  const register = async () => {
    const { taskDefinition } = await client.send(new RegisterTaskDefinitionCommand(DEFINITION))
    return taskDefinition?.taskDefinitionArn ?? ''
  }
  const remove = (...taskDefinitions: string[]) => client.send(new DeleteTaskDefinitionsCommand({ taskDefinitions }))
  const statusOf = async (taskDefinition: string) =>
    (await client.send(new DescribeTaskDefinitionCommand({ taskDefinition }))).taskDefinition?.status
  const [first, second] = [await register(), await register()]
  const { taskArn } = await runOne(client, { taskDefinition: first })
  expect((await remove(first)).failures).toMatchObject([{ arn: first, reason: 'ACTIVE' }])
  for (const taskDefinition of [first, second])
    await client.send(new DeregisterTaskDefinitionCommand({ taskDefinition }))
  expect((await remove(first, second)).taskDefinitions?.map((each) => each.status)).toEqual([
    'DELETE_IN_PROGRESS',
    'DELETE_IN_PROGRESS',
  ])
  expect([await statusOf(first), await statusOf(second)]).toEqual(['DELETE_IN_PROGRESS', 'DELETE_IN_PROGRESS'])
  const third = await register()
  expect(third).toMatch(/:3$/)
  await client.send(new StopTaskCommand({ cluster: 'containers', task: taskArn }))
  await until(() => stopped(events, taskArn))
  await client.send(new DeregisterTaskDefinitionCommand({ taskDefinition: third }))
  expect((await remove(third, 'none:1')).failures).toMatchObject([{ arn: 'none:1', reason: 'MISSING' }])
  await expect(statusOf(first)).rejects.toThrow('Unable to describe task definition.')
})
