import { mkdir, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CreateAccessPointCommand, DeleteAccessPointCommand, type EFSClient } from '@aws-sdk/client-efs'
import { CreateRoleCommand, DeleteRolePolicyCommand, PutRolePolicyCommand } from '@aws-sdk/client-iam'
import { describe, expect, test } from 'vitest'
import type { MountRequest } from '../../../../local/efs/mount.ts'
import { startIam, TRUST } from '../iam/support.ts'
import { ACCESS_POINT, FILE_SYSTEM, FILE_SYSTEM_ARN, fileSystem, OTHER_FILE_SYSTEM, startEfs } from './support.ts'

const DENIED =
  "stderr: b'mount.nfs4: access denied by server while mounting 127.0.0.1:/' : unsuccessful EFS utils command execution; code: 32"
const isRoot = process.getuid?.() === 0
const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8)

async function create(client: EFSClient, change: Partial<typeof ACCESS_POINT> = {}): Promise<string> {
  const { AccessPointId = '' } = await client.send(new CreateAccessPointCommand({ ...ACCESS_POINT, ...change }))
  return AccessPointId
}

describe('the folder behind an access point', () => {
  test('is made at the first mount, with its own owner and mode; those above are nobody’s', async () => {
    const { client, efs, stateDir } = await startEfs()
    const accessPointId = await create(client)
    const request = { fileSystemId: FILE_SYSTEM, accessPointId }
    const { directory, readOnly } = await efs.mount(request)
    expect(directory).toBe(join(stateDir, 'efs', FILE_SYSTEM, 'teams', 'a', 'shared'))
    expect(readOnly).toBe(false)
    expect(await modeOf(directory)).toBe('750')
    expect(await modeOf(join(directory, '..'))).toBe('755')
    const own = await stat(directory)
    const above = await stat(join(directory, '..'))
    expect([own.uid, own.gid]).toEqual(isRoot ? [1000, 1000] : [process.getuid?.(), process.getgid?.()])
    expect(above.uid).toBe(process.getuid?.())
    await writeFile(join(directory, 'kept'), '')
    expect(await Promise.all([efs.mount(request), efs.mount(request)])).toEqual([
      { directory, readOnly: false },
      { directory, readOnly: false },
    ])
  })

  test('without creation info has to be there; without a path it is the whole file system', async () => {
    const { client, efs, stateDir } = await startEfs()
    const bare = await client.send(
      new CreateAccessPointCommand({ ...ACCESS_POINT, RootDirectory: { Path: '/there' }, ClientToken: 'bare' }),
    )
    const request = { fileSystemId: FILE_SYSTEM, accessPointId: bare.AccessPointId }
    await expect(efs.mount(request)).rejects.toThrow(/there failed, reason given by server: No such file or directory'/)
    await mkdir(join(stateDir, 'efs', FILE_SYSTEM, 'there'), { recursive: true })
    expect((await efs.mount(request)).directory).toBe(join(stateDir, 'efs', FILE_SYSTEM, 'there'))
    expect((await efs.mount({ fileSystemId: FILE_SYSTEM })).directory).toBe(join(stateDir, 'efs', FILE_SYSTEM))
  })

  test('is not reached through a link that a tenant has put there', async () => {
    const { client, efs, stateDir } = await startEfs()
    await mkdir(join(stateDir, 'efs', FILE_SYSTEM, 'teams', 'a'), { recursive: true })
    await symlink('/etc', join(stateDir, 'efs', FILE_SYSTEM, 'teams', 'a', 'shared'))
    const accessPointId = await create(client)
    await expect(efs.mount({ fileSystemId: FILE_SYSTEM, accessPointId })).rejects.toThrow('No such file or directory')
  })
})

test('what is not there cannot be mounted', async () => {
  let at = 0
  const { client, efs } = await startEfs({ creatingMs: 100, now: () => at })
  const accessPointId = await create(client)
  await expect(efs.mount({ fileSystemId: FILE_SYSTEM, accessPointId })).rejects.toThrow(DENIED)
  at += 100
  await efs.mount({ fileSystemId: FILE_SYSTEM, accessPointId })
  await expect(efs.mount({ fileSystemId: OTHER_FILE_SYSTEM, accessPointId })).rejects.toThrow(DENIED)
  await expect(efs.mount({ fileSystemId: 'fs-00000000' })).rejects.toThrow(
    /^stderr: Failed to resolve "fs-00000000.efs.us-east-1.amazonaws.com"/,
  )
  await client.send(new DeleteAccessPointCommand({ AccessPointId: accessPointId }))
  await expect(efs.mount({ fileSystemId: FILE_SYSTEM, accessPointId })).rejects.toThrow(DENIED)
})

describe('policies', () => {
  /** Denies whoever comes without TLS, without an access point, or with a role that is no team's. */
  const policy = {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Deny',
        Principal: { AWS: '*' },
        Action: 'elasticfilesystem:*',
        Resource: '*',
        Condition: { Bool: { 'aws:SecureTransport': 'false' } },
      },
      {
        Effect: 'Deny',
        Principal: { AWS: '*' },
        Action: 'elasticfilesystem:Client*',
        Resource: '*',
        Condition: { Null: { 'elasticfilesystem:AccessPointArn': 'true' } },
      },
      {
        Effect: 'Deny',
        Principal: { AWS: '*' },
        Action: 'elasticfilesystem:Client*',
        Resource: '*',
        Condition: { ArnNotLike: { 'aws:PrincipalArn': 'arn:aws:iam::*:role/covibes/test/teams/*' } },
      },
    ],
  }

  async function world() {
    const { client: iam, iam: service } = await startIam()
    const { client, efs } = await startEfs({ resources: [fileSystem(policy)], allows: service.allows })
    const mine = await create(client)
    const theirs = await create(client, { ClientToken: 'team-b' })
    const roleOf = async (RoleName: string, accessPointId: string, Path = '/covibes/test/teams/') => {
      const { Role } = await iam.send(new CreateRoleCommand({ RoleName, Path, AssumeRolePolicyDocument: TRUST }))
      await allow(RoleName, accessPointId, ['elasticfilesystem:ClientMount', 'elasticfilesystem:ClientWrite'])
      return Role?.Arn ?? ''
    }
    const allow = (RoleName: string, accessPointId: string, Action: string[]) =>
      iam.send(
        new PutRolePolicyCommand({
          RoleName,
          PolicyName: 'mount',
          PolicyDocument: JSON.stringify({
            Version: '2012-10-17',
            Statement: {
              Effect: 'Allow',
              Action,
              Resource: FILE_SYSTEM_ARN,
              Condition: {
                StringEquals: {
                  'elasticfilesystem:AccessPointArn': `arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/${accessPointId}`,
                },
              },
            },
          }),
        }),
      )
    const taskRoleArn = await roleOf('a', mine)
    const request: MountRequest = {
      fileSystemId: FILE_SYSTEM,
      accessPointId: mine,
      transitEncryption: 'ENABLED',
      iam: 'ENABLED',
      taskRoleArn,
    }
    return { iam, efs, mine, theirs, request, roleOf, allow }
  }

  test('a team’s role mounts its own access point', async () => {
    const { efs, request } = await world()
    expect((await efs.mount(request)).readOnly).toBe(false)
  })

  test('and no other’s, nor the file system, nor without TLS, nor without IAM', async () => {
    const { efs, request, theirs } = await world()
    const changes: Partial<MountRequest>[] = [
      { accessPointId: theirs },
      { accessPointId: undefined },
      { transitEncryption: undefined },
      { iam: undefined },
      { taskRoleArn: undefined },
      { taskRoleArn: 'arn:aws:iam::000000000000:role/covibes/test/teams/none' },
    ]
    for (const change of changes) await expect(efs.mount({ ...request, ...change })).rejects.toThrow(DENIED)
  })

  test('a role outside of the teams’ path is denied, whatever its own policy says', async () => {
    const { efs, request, mine, roleOf } = await world()
    const taskRoleArn = await roleOf('intruder', mine, '/')
    await expect(efs.mount({ ...request, taskRoleArn })).rejects.toThrow(DENIED)
  })

  test('without ClientWrite the mount is read-only; without a policy there is none', async () => {
    const { iam, efs, request, mine, allow } = await world()
    await allow('a', mine, ['elasticfilesystem:ClientMount'])
    expect((await efs.mount(request)).readOnly).toBe(true)
    await iam.send(new DeleteRolePolicyCommand({ RoleName: 'a', PolicyName: 'mount' }))
    await expect(efs.mount(request)).rejects.toThrow(DENIED)
  })
})
