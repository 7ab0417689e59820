import {
  CreateAccessPointCommand,
  type CreateAccessPointCommandInput,
  DeleteAccessPointCommand,
  DescribeAccessPointsCommand,
  DescribeFileSystemPolicyCommand,
  DescribeFileSystemsCommand,
  ListTagsForResourceCommand,
  TagResourceCommand,
  UntagResourceCommand,
} from '@aws-sdk/client-efs'
import { expect, test } from 'vitest'
import { ACCESS_POINT, FILE_SYSTEM, FILE_SYSTEM_ARN, fileSystem, OTHER_FILE_SYSTEM, startEfs } from './support.ts'

test('an access point is created as asked, and found again after a restart', async () => {
  const { client, efs, stateDir } = await startEfs()
  const created = await client.send(new CreateAccessPointCommand(ACCESS_POINT))
  expect(created).toMatchObject({
    ...ACCESS_POINT,
    AccessPointId: expect.stringMatching(/^fsap-[0-9a-f]{17}$/),
    AccessPointArn: `arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/${created.AccessPointId}`,
    OwnerId: '000000000000',
    LifeCycleState: 'creating',
  })
  await efs.close()
  const after = await startEfs({ stateDir })
  const { AccessPoints } = await after.client.send(
    new DescribeAccessPointsCommand({ AccessPointId: created.AccessPointId }),
  )
  expect(AccessPoints).toEqual([
    expect.objectContaining({ ...ACCESS_POINT, AccessPointId: created.AccessPointId, LifeCycleState: 'available' }),
  ])
})

test('it is creating for a while, and available after that', async () => {
  let at = 1_000
  const { client } = await startEfs({ creatingMs: 500, now: () => at })
  await client.send(new CreateAccessPointCommand(ACCESS_POINT))
  const state = async () =>
    (await client.send(new DescribeAccessPointsCommand({}))).AccessPoints?.map((each) => each.LifeCycleState)
  expect(await state()).toEqual(['creating'])
  at += 500
  expect(await state()).toEqual(['available'])
})

test('a token is used once, for whichever file system; the answer names what is there; it is free again after a delete', async () => {
  const { client } = await startEfs()
  const { AccessPointId } = await client.send(new CreateAccessPointCommand(ACCESS_POINT))
  for (const again of [ACCESS_POINT, { ...ACCESS_POINT, FileSystemId: OTHER_FILE_SYSTEM }])
    await expect(client.send(new CreateAccessPointCommand(again))).rejects.toMatchObject({
      name: 'AccessPointAlreadyExists',
      ErrorCode: 'AccessPointAlreadyExists',
      AccessPointId,
      $metadata: { httpStatusCode: 409 },
    })
  await client.send(new DeleteAccessPointCommand({ AccessPointId }))
  const next = await client.send(new CreateAccessPointCommand(ACCESS_POINT))
  expect(next.AccessPointId).not.toBe(AccessPointId)
  await expect(client.send(new DeleteAccessPointCommand({ AccessPointId }))).rejects.toMatchObject({
    name: 'AccessPointNotFound',
    $metadata: { httpStatusCode: 404 },
  })
})

test.each<[string, Partial<CreateAccessPointCommandInput>, string]>([
  ['an unknown file system', { FileSystemId: 'fs-00000000' }, 'FileSystemNotFound'],
  ['something that is no file system', { FileSystemId: 'x' }, 'BadRequest'],
  ['a token of 65 characters', { ClientToken: 'x'.repeat(65) }, 'BadRequest'],
  ['a root directory of five parts', { RootDirectory: { Path: '/a/b/c/d/e' } }, 'BadRequest'],
  ['a root directory that leads out', { RootDirectory: { Path: '/a/../b' } }, 'BadRequest'],
  ['a root directory that is not absolute', { RootDirectory: { Path: 'a' } }, 'BadRequest'],
  ['a root directory of 101 characters', { RootDirectory: { Path: `/${'x'.repeat(100)}` } }, 'BadRequest'],
  [
    'permissions that are not octal',
    { RootDirectory: { Path: '/a', CreationInfo: { OwnerUid: 1, OwnerGid: 1, Permissions: '0790' } } },
    'BadRequest',
  ],
  ['a user id below 0', { PosixUser: { Uid: -1, Gid: 1 } }, 'BadRequest'],
  ['a tag of AWS’s own', { Tags: [{ Key: 'aws:x', Value: '' }] }, 'BadRequest'],
])('%s is refused', async (_what, change, name) => {
  const { client } = await startEfs()
  await expect(client.send(new CreateAccessPointCommand({ ...ACCESS_POINT, ...change }))).rejects.toMatchObject({
    name,
  })
  expect((await client.send(new DescribeAccessPointsCommand({}))).AccessPoints).toEqual([])
})

test('lists: by file system, by id, in pages', async () => {
  const { client } = await startEfs()
  const ids: string[] = []
  for (const token of ['a', 'b', 'c']) {
    const { AccessPointId = '' } = await client.send(
      new CreateAccessPointCommand({ ...ACCESS_POINT, ClientToken: token }),
    )
    ids.push(AccessPointId)
  }
  const other = await client.send(
    new CreateAccessPointCommand({ ...ACCESS_POINT, ClientToken: 'd', FileSystemId: OTHER_FILE_SYSTEM }),
  )
  const describe = (input: object) => client.send(new DescribeAccessPointsCommand(input))
  const idsOf = async (input: object) => (await describe(input)).AccessPoints?.map((each) => each.AccessPointId)
  expect(await idsOf({ FileSystemId: OTHER_FILE_SYSTEM })).toEqual([other.AccessPointId])
  expect(await idsOf({ FileSystemId: FILE_SYSTEM_ARN })).toEqual(ids.toSorted())

  const first = await describe({ FileSystemId: FILE_SYSTEM, MaxResults: 2 })
  const rest = await describe({ FileSystemId: FILE_SYSTEM, MaxResults: 2, NextToken: first.NextToken })
  expect(rest.NextToken).toBeUndefined()
  expect([...(first.AccessPoints ?? []), ...(rest.AccessPoints ?? [])].map((each) => each.AccessPointId)).toEqual(
    ids.toSorted(),
  )
  await expect(describe({ FileSystemId: FILE_SYSTEM, AccessPointId: ids[0] })).rejects.toMatchObject({
    name: 'BadRequest',
  })
  await expect(describe({ AccessPointId: 'fsap-0000' })).rejects.toMatchObject({ name: 'AccessPointNotFound' })
  await expect(describe({ FileSystemId: 'fs-00000000' })).rejects.toMatchObject({ name: 'FileSystemNotFound' })
})

test('file systems are the template’s', async () => {
  const policy = { Statement: [{ Effect: 'Allow', Principal: '*', Action: '*', Resource: '*' }] }
  const { client } = await startEfs({ resources: [fileSystem(policy), fileSystem(undefined, OTHER_FILE_SYSTEM)] })
  const { FileSystems } = await client.send(new DescribeFileSystemsCommand({ FileSystemId: FILE_SYSTEM }))
  expect(FileSystems).toMatchObject([
    { FileSystemId: FILE_SYSTEM, FileSystemArn: FILE_SYSTEM_ARN, LifeCycleState: 'available', Encrypted: true },
  ])
  expect(FileSystems?.[0]?.Name).toBe('workspaces')
  const all = await client.send(new DescribeFileSystemsCommand({ MaxItems: 1 }))
  const rest = await client.send(new DescribeFileSystemsCommand({ MaxItems: 1, Marker: all.NextMarker }))
  expect(rest.FileSystems?.map((each) => each.FileSystemId)).toEqual([OTHER_FILE_SYSTEM])
  const policyOf = (FileSystemId: string) => client.send(new DescribeFileSystemPolicyCommand({ FileSystemId }))
  expect((await policyOf(FILE_SYSTEM)).Policy).toContain('"Allow"')
  await expect(policyOf(OTHER_FILE_SYSTEM)).rejects.toMatchObject({ name: 'PolicyNotFound' })
})

test('tags are replaced by key and taken away', async () => {
  const { client } = await startEfs()
  const { AccessPointId: ResourceId = '' } = await client.send(new CreateAccessPointCommand(ACCESS_POINT))
  const Tags = [
    { Key: 'covibes:team', Value: 'b' },
    { Key: 'x', Value: '' },
    { Key: 'y', Value: '' },
  ]
  await client.send(new TagResourceCommand({ ResourceId, Tags }))
  await client.send(new UntagResourceCommand({ ResourceId, TagKeys: ['x', 'y'] }))
  expect((await client.send(new ListTagsForResourceCommand({ ResourceId }))).Tags).toEqual([Tags[0]])
})

test('made and deleted too fast, they are throttled', async () => {
  const { client } = await startEfs({ accessPointRate: { burst: 2, perSecond: 0 } })
  const { AccessPointId } = await client.send(new CreateAccessPointCommand(ACCESS_POINT))
  await client.send(new DeleteAccessPointCommand({ AccessPointId }))
  await expect(client.send(new CreateAccessPointCommand(ACCESS_POINT))).rejects.toMatchObject({
    name: 'ThrottlingException',
    $metadata: { httpStatusCode: 429 },
  })
})
