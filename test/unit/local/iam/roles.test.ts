import {
  CreateRoleCommand,
  type CreateRoleCommandInput,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  ListRolePoliciesCommand,
  ListRolesCommand,
  ListRoleTagsCommand,
  PutRolePolicyCommand,
  TagRoleCommand,
  UntagRoleCommand,
} from '@aws-sdk/client-iam'
import { expect, test } from 'vitest'
import { folder, startIam, TRUST } from './support.ts'

const PATH = '/covibes/test/teams/'
const ROLE = { RoleName: 'team-a', Path: PATH, AssumeRolePolicyDocument: TRUST } satisfies CreateRoleCommandInput
const POLICY = JSON.stringify({
  Version: '2012-10-17',
  Statement: { Effect: 'Allow', Action: 'elasticfilesystem:ClientMount', Resource: '*' },
})

const BOUNDARY = {
  type: 'AWS::IAM::ManagedPolicy',
  logicalId: 'Boundary',
  ref: 'arn:aws:iam::000000000000:policy/boundary',
  arn: 'arn:aws:iam::000000000000:policy/boundary',
  properties: { PolicyDocument: JSON.parse(POLICY) as unknown },
}

test('a role is created as asked, and found again after a restart', async () => {
  const stateDir = await folder()
  const { client, iam } = await startIam({ stateDir, resources: [BOUNDARY] })
  const asked = {
    ...ROLE,
    Description: 'a <team> & its "role"',
    PermissionsBoundary: BOUNDARY.ref,
    Tags: [{ Key: 'covibes:team', Value: 'a' }],
  }
  const { Role } = await client.send(new CreateRoleCommand(asked))
  expect(Role).toMatchObject({
    RoleName: 'team-a',
    Path: PATH,
    Arn: `arn:aws:iam::000000000000:role${PATH}team-a`,
    RoleId: expect.stringMatching(/^AROA[A-Z0-9]{17}$/),
    CreateDate: expect.any(Date),
    Description: 'a <team> & its "role"',
    PermissionsBoundary: { PermissionsBoundaryType: 'Policy', PermissionsBoundaryArn: BOUNDARY.ref },
    Tags: [{ Key: 'covibes:team', Value: 'a' }],
  })
  expect(decodeURIComponent(Role?.AssumeRolePolicyDocument ?? '')).toBe(TRUST)
  await iam.close()

  const after = await startIam({ stateDir, resources: [BOUNDARY] })
  expect((await after.client.send(new GetRoleCommand({ RoleName: 'team-a' }))).Role).toEqual(Role)
})

test('a name can be used once, in whatever case', async () => {
  const { client } = await startIam()
  await client.send(new CreateRoleCommand(ROLE))
  await expect(client.send(new CreateRoleCommand({ ...ROLE, RoleName: 'TEAM-A', Path: '/' }))).rejects.toMatchObject({
    name: 'EntityAlreadyExistsException',
    message: 'Role with name TEAM-A already exists.',
    $metadata: { httpStatusCode: 409 },
  })
})

test.each<[string, Partial<CreateRoleCommandInput>, string]>([
  ['a name of 65 characters', { RoleName: 'x'.repeat(65) }, 'ValidationError'],
  ['a name with a slash', { RoleName: 'a/b' }, 'ValidationError'],
  ['a path without its last slash', { Path: '/teams' }, 'ValidationError'],
  ['a trust policy that is no JSON', { AssumeRolePolicyDocument: '{' }, 'MalformedPolicyDocumentException'],
  ['a trust policy without statements', { AssumeRolePolicyDocument: '{}' }, 'MalformedPolicyDocumentException'],
  [
    'a boundary that is not there',
    { PermissionsBoundary: 'arn:aws:iam::000000000000:policy/x' },
    'NoSuchEntityException',
  ],
  [
    'a tag twice',
    {
      Tags: [
        { Key: 'a', Value: '' },
        { Key: 'A', Value: '' },
      ],
    },
    'InvalidInputException',
  ],
])('%s is refused', async (_what, change, name) => {
  const { client } = await startIam()
  await expect(client.send(new CreateRoleCommand({ ...ROLE, ...change }))).rejects.toMatchObject({ name })
  expect((await client.send(new ListRolesCommand({}))).Roles).toEqual([])
})

test('inline policies: put, read, listed, and in the way of the role’s end', async () => {
  const { client } = await startIam()
  const RoleName = 'team-a'
  await client.send(new CreateRoleCommand(ROLE))
  await client.send(new PutRolePolicyCommand({ RoleName, PolicyName: 'mount', PolicyDocument: POLICY }))
  await client.send(new PutRolePolicyCommand({ RoleName, PolicyName: 'mount', PolicyDocument: POLICY }))
  const read = await client.send(new GetRolePolicyCommand({ RoleName, PolicyName: 'mount' }))
  expect(decodeURIComponent(read.PolicyDocument ?? '')).toBe(POLICY)
  expect((await client.send(new ListRolePoliciesCommand({ RoleName }))).PolicyNames).toEqual(['mount'])
  await expect(client.send(new DeleteRoleCommand({ RoleName }))).rejects.toMatchObject({
    name: 'DeleteConflictException',
    message: 'Cannot delete entity, must delete policies first.',
  })
  await client.send(new DeleteRolePolicyCommand({ RoleName, PolicyName: 'mount' }))
  await expect(client.send(new DeleteRolePolicyCommand({ RoleName, PolicyName: 'mount' }))).rejects.toMatchObject({
    name: 'NoSuchEntityException',
    message: 'The role policy with name mount cannot be found.',
  })
  await client.send(new DeleteRoleCommand({ RoleName }))
  await expect(client.send(new GetRoleCommand({ RoleName }))).rejects.toMatchObject({
    name: 'NoSuchEntityException',
    message: 'The role with name team-a cannot be found.',
    $metadata: { httpStatusCode: 404 },
  })
})

test('inline policies of a role have 10,240 characters together, without white space', async () => {
  const { client } = await startIam()
  await client.send(new CreateRoleCommand(ROLE))
  const big = (spaces: number) =>
    JSON.stringify({
      Version: '2012-10-17',
      Statement: { Effect: 'Allow', Action: 'ecs:*', Resource: 'x'.repeat(6_000), Sid: ' '.repeat(spaces) },
    })
  const put = (PolicyName: string, PolicyDocument: string) =>
    client.send(new PutRolePolicyCommand({ RoleName: 'team-a', PolicyName, PolicyDocument }))
  await put('one', big(6_000))
  await expect(put('two', big(0))).rejects.toMatchObject({
    name: 'LimitExceededException',
    message: 'Maximum policy size of 10240 bytes exceeded for role team-a',
  })
  await expect(put('three', 'no json')).rejects.toMatchObject({ name: 'MalformedPolicyDocumentException' })
  expect((await client.send(new ListRolePoliciesCommand({ RoleName: 'team-a' }))).PolicyNames).toEqual(['one'])
})

test('roles are listed by path, in pages that others’ comings and goings do not shift', async () => {
  const { client } = await startIam()
  for (const name of ['a', 'b', 'c', 'd']) await client.send(new CreateRoleCommand({ ...ROLE, RoleName: name }))
  await client.send(new CreateRoleCommand({ ...ROLE, RoleName: 'other', Path: '/' }))
  const names = (roles: { RoleName?: string | undefined }[] = []) => roles.map(({ RoleName }) => RoleName)
  const first = await client.send(new ListRolesCommand({ PathPrefix: PATH, MaxItems: 2 }))
  expect(names(first.Roles)).toEqual(['a', 'b'])
  expect(first.IsTruncated).toBe(true)
  await client.send(new DeleteRoleCommand({ RoleName: 'a' }))
  const rest = await client.send(new ListRolesCommand({ PathPrefix: PATH, MaxItems: 2, Marker: first.Marker }))
  expect(names(rest.Roles)).toEqual(['c', 'd'])
  expect(rest).toMatchObject({ IsTruncated: false })
  expect(names((await client.send(new ListRolesCommand({}))).Roles)).toEqual(['b', 'c', 'd', 'other'])
})

test('tags are replaced by key and taken away', async () => {
  const { client } = await startIam()
  const RoleName = 'team-a'
  await client.send(new CreateRoleCommand({ ...ROLE, Tags: [{ Key: 'a', Value: '1' }] }))
  await client.send(
    new TagRoleCommand({
      RoleName,
      Tags: [
        { Key: 'a', Value: '2' },
        { Key: 'b', Value: '3' },
      ],
    }),
  )
  await client.send(new UntagRoleCommand({ RoleName, TagKeys: ['b'] }))
  expect((await client.send(new ListRoleTagsCommand({ RoleName }))).Tags).toEqual([{ Key: 'a', Value: '2' }])
})

test('the template’s roles are there, with what other resources attach to them', async () => {
  const role = {
    type: 'AWS::IAM::Role',
    logicalId: 'TaskRole',
    ref: 'task-role',
    arn: 'arn:aws:iam::000000000000:role/task-role',
    properties: { AssumeRolePolicyDocument: JSON.parse(TRUST) as unknown },
  }
  const policy = {
    type: 'AWS::IAM::Policy',
    logicalId: 'DefaultPolicy',
    ref: 'default-policy',
    arn: 'default-policy',
    properties: { PolicyName: 'default', PolicyDocument: JSON.parse(POLICY) as unknown, Roles: ['task-role'] },
  }
  const { client } = await startIam({ resources: [role, policy] })
  expect((await client.send(new GetRoleCommand({ RoleName: 'task-role' }))).Role?.Arn).toBe(role.arn)
  expect((await client.send(new ListRolePoliciesCommand({ RoleName: 'task-role' }))).PolicyNames).toEqual(['default'])
})
