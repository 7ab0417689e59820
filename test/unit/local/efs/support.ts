import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CreateAccessPointCommandInput, EFSClient } from '@aws-sdk/client-efs'
import { onTestFinished } from 'vitest'
import { createEfs, type Efs, type EfsOptions } from '../../../../local/efs/efs.ts'

export const FILE_SYSTEM = 'fs-0123456789abcdef0'
export const OTHER_FILE_SYSTEM = 'fs-0123456789abcdef1'
const arnOf = (id: string) => `arn:aws:elasticfilesystem:us-east-1:000000000000:file-system/${id}`
export const FILE_SYSTEM_ARN = arnOf(FILE_SYSTEM)

/** The template's file system with this policy. */
export function fileSystem(policy?: unknown, id = FILE_SYSTEM) {
  return {
    type: 'AWS::EFS::FileSystem',
    logicalId: 'Workspaces',
    ref: id,
    arn: arnOf(id),
    properties: {
      Encrypted: true,
      FileSystemTags: [{ Key: 'Name', Value: 'workspaces' }],
      ...(policy === undefined ? {} : { FileSystemPolicy: policy }),
    },
  }
}

/** A fresh folder that goes with the test. */
export async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'covibes-test-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

/** A started endpoint with a client; closed when the test ends. */
export async function startEfs(
  options: Partial<EfsOptions> = {},
): Promise<{ efs: Efs; client: EFSClient; stateDir: string }> {
  const stateDir = options.stateDir ?? (await folder())
  const efs = await createEfs({
    resources: [fileSystem(), fileSystem(undefined, OTHER_FILE_SYSTEM)],
    stateDir,
    allows: () => false,
    creatingMs: 0,
    ...options,
  })
  onTestFinished(() => efs.close())
  const client = new EFSClient({
    endpoint: efs.url,
    region: 'us-east-1',
    maxAttempts: 1,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  })
  return { efs, client, stateDir }
}

/** What makes a team's access point. */
export const ACCESS_POINT = {
  ClientToken: 'team-a-shared',
  FileSystemId: FILE_SYSTEM,
  PosixUser: { Uid: 1000, Gid: 1000 },
  RootDirectory: {
    Path: '/teams/a/shared',
    CreationInfo: { OwnerUid: 1000, OwnerGid: 1000, Permissions: '0750' },
  },
  Tags: [{ Key: 'covibes:team', Value: 'a' }],
} satisfies CreateAccessPointCommandInput
