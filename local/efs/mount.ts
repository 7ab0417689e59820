import { chmod, chown, lstat, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { REGION, URL_SUFFIX } from '../assembly/account.ts'
import type { Iam } from '../iam/iam.ts'
import { type AccessPoint, accessPointArn } from './access-points.ts'
import type { FileSystem } from './file-systems.ts'

/** What a task asks for when it mounts a volume: `efsVolumeConfiguration` of its definition, and its role. */
export interface MountRequest {
  readonly fileSystemId: string
  readonly accessPointId?: string | undefined
  readonly rootDirectory?: string | undefined
  readonly transitEncryption?: string | undefined
  readonly iam?: string | undefined
  readonly taskRoleArn?: string | undefined
}

/** A mounted volume. */
export interface Mount {
  /** The folder of this machine that stands for it. */
  readonly directory: string
  /** The policies allow to mount, but not to write. */
  readonly readOnly: boolean
}

/** A mount that the service would refuse; the message is what EFS's mount helper says, as ECS passes it on. */
export class MountRefused extends Error {
  constructor(stderr: string, code: number) {
    super(`stderr: ${stderr} : unsuccessful EFS utils command execution; code: ${code}`)
    this.name = 'MountRefused'
  }
}

/** What mounting needs. */
export interface MountDependencies {
  /** Where each file system has a folder of its own. */
  readonly directory: string
  readonly fileSystem: (id: string) => FileSystem | undefined
  readonly accessPoint: (id: string) => AccessPoint | undefined
  readonly isAvailable: (point: AccessPoint) => boolean
  readonly allows: Iam['allows']
  /** Hands a new directory to an owner; left out when this process may not. */
  readonly own: ((path: string, uid: number, gid: number) => Promise<void>) | undefined
}

/** The owners of new directories are set when this process is root; otherwise they are this user's. */
export const ownAsRoot = process.getuid?.() === 0 ? chown : undefined

/**
 * Mounts a file system for a task. Refuses what EFS refuses: an unknown file system or access point, an access point of
 * another file system, and whom the policies do not let in. A file system without a policy lets everyone in.
 */
export async function mount(request: MountRequest, deps: MountDependencies): Promise<Mount> {
  const { fileSystemId, accessPointId } = request
  const system = deps.fileSystem(fileSystemId)
  if (!system) throw unresolved(fileSystemId)
  const point = accessPointId === undefined ? undefined : deps.accessPoint(accessPointId)
  if (accessPointId !== undefined && (!point || point.fileSystemId !== fileSystemId || !deps.isAvailable(point)))
    throw denied()
  if (!isAllowed('ClientMount', request, system, deps)) throw denied()
  return {
    directory: await rootDirectory(request, point, deps),
    readOnly: !isAllowed('ClientWrite', request, system, deps),
  }
}

function isAllowed(
  action: 'ClientMount' | 'ClientWrite',
  request: MountRequest,
  system: FileSystem,
  deps: MountDependencies,
): boolean {
  if (!system.policy) return true
  return deps.allows({
    roleArn: request.iam === 'ENABLED' ? request.taskRoleArn : undefined,
    action: `elasticfilesystem:${action}`,
    resource: system.arn,
    resourcePolicy: system.policy,
    context: {
      'aws:SecureTransport': String(request.transitEncryption === 'ENABLED'),
      'elasticfilesystem:AccessedViaMountTarget': 'true',
      ...(request.accessPointId === undefined
        ? {}
        : { 'elasticfilesystem:AccessPointArn': accessPointArn(request.accessPointId) }),
    },
  })
}

/** The folder behind an access point, or behind `rootDirectory` of the volume, made if the access point says with which owner. */
async function rootDirectory(
  { fileSystemId, rootDirectory: named = '/' }: MountRequest,
  point: AccessPoint | undefined,
  deps: MountDependencies,
): Promise<string> {
  const root = join(deps.directory, fileSystemId)
  await mkdir(root, { recursive: true, mode: 0o755 })
  const path = point?.rootDirectory.Path ?? named
  const creation = point?.rootDirectory.CreationInfo
  const parts = path.split('/').filter((part) => part !== '')
  let directory = root
  for (const [at, part] of parts.entries()) {
    directory = join(directory, part)
    const kind = await kindOf(directory)
    if (kind === 'directory') continue
    // What a tenant has put there must not lead out of the file system: a link is followed on AWS inside of it only.
    if (kind === 'other' || !creation) throw missing(`${fileSystemId}.efs.${REGION}.${URL_SUFFIX}`, path)
    if (!(await made(directory))) continue
    const isLast = at === parts.length - 1
    // Only the last directory is the access point's own; those above stay with root.
    await chmod(directory, isLast ? Number.parseInt(creation.Permissions, 8) : 0o755)
    if (isLast) await deps.own?.(directory, creation.OwnerUid, creation.OwnerGid)
  }
  return directory
}

/** False when another mount has made it in the meantime. */
async function made(directory: string): Promise<boolean> {
  try {
    await mkdir(directory)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

async function kindOf(path: string): Promise<'directory' | 'other' | undefined> {
  try {
    return (await lstat(path)).isDirectory() ? 'directory' : 'other'
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

const denied = () => new MountRefused(`b'mount.nfs4: access denied by server while mounting 127.0.0.1:/'`, 32)

const missing = (host: string, path: string) =>
  new MountRefused(
    `b'mount.nfs4: mounting ${host}:${path} failed, reason given by server: No such file or directory'`,
    32,
  )

const unresolved = (id: string) =>
  new MountRefused(
    `Failed to resolve "${id}.efs.${REGION}.${URL_SUFFIX}" - check that your file system ID is correct, and ensure that the VPC has an EFS mount target for this file system ID.`,
    1,
  )
