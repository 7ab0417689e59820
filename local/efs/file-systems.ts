import { createHash } from 'node:crypto'
import { ACCOUNT_ID } from '../assembly/account.ts'
import type { Resource } from '../assembly/cloud-assembly.ts'
import { AwsError } from '../common/aws-error.ts'
import { type PolicyDocument, parsePolicy } from '../iam/policy.ts'
import type { AccessPoint, EfsTag } from './access-points.ts'
import { PosixUserSchema, RootDirectorySchema } from './input.ts'

/** A resource of the template, as far as this part reads it. */
export type TemplateResource = Pick<Resource, 'type' | 'logicalId' | 'ref' | 'arn' | 'properties'>

/** A file system of the template. */
export interface FileSystem {
  readonly id: string
  readonly arn: string
  readonly encrypted: boolean
  readonly performanceMode: string
  readonly throughputMode: string
  readonly mountTargets: number
  readonly policy: PolicyDocument | undefined
  tags: readonly EfsTag[]
}

/** The template's file systems by id. Throws for a file system policy that cannot be read. */
export function fileSystemsOf(resources: readonly TemplateResource[]): Map<string, FileSystem> {
  const targets = resources.filter(({ type }) => type === 'AWS::EFS::MountTarget')
  const systems = resources.filter(({ type }) => type === 'AWS::EFS::FileSystem')
  return new Map(
    systems.map(({ ref, arn, properties }) => [
      ref,
      {
        id: ref,
        arn,
        encrypted: String(properties.Encrypted) === 'true',
        performanceMode: (properties.PerformanceMode as string | undefined) ?? 'generalPurpose',
        throughputMode: (properties.ThroughputMode as string | undefined) ?? 'bursting',
        mountTargets: targets.filter((target) => target.properties.FileSystemId === ref).length,
        policy: properties.FileSystemPolicy === undefined ? undefined : parsePolicy(properties.FileSystemPolicy),
        tags: (properties.FileSystemTags as EfsTag[] | undefined) ?? [],
      },
    ]),
  )
}

/** The template's access points. CloudFormation gives numbers as text. */
export function templateAccessPoints(resources: readonly TemplateResource[]): AccessPoint[] {
  return resources
    .filter(({ type }) => type === 'AWS::EFS::AccessPoint')
    .map(({ ref, properties }) => {
      const { PosixUser, RootDirectory = {}, ClientToken = ref } = numbers(properties) as Record<string, unknown>
      return {
        id: ref,
        fileSystemId: String(properties.FileSystemId),
        clientToken: String(ClientToken),
        ...(PosixUser === undefined ? {} : { posixUser: PosixUserSchema.parse(PosixUser) }),
        rootDirectory: RootDirectorySchema.parse(RootDirectory),
        createdAt: 0,
        tags: (properties.AccessPointTags as EfsTag[] | undefined) ?? [],
      }
    })
}

const NUMBERS = new Set(['Uid', 'Gid', 'OwnerUid', 'OwnerGid', 'SecondaryGids'])

function numbers(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(numbers)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      if (!NUMBERS.has(key)) return [key, numbers(inner)]
      return [key, Array.isArray(inner) ? inner.map(Number) : Number(inner)]
    }),
  )
}

/** The error for a file system that is not there. */
export function fileSystemNotFound(id: string): AwsError {
  return new AwsError('FileSystemNotFound', `File system '${id}' does not exist.`, { statusCode: 404 })
}

/** As the API describes a file system. Its size is not metered here. */
export function fileSystemDocument(system: FileSystem): Record<string, unknown> {
  return {
    OwnerId: ACCOUNT_ID,
    CreationToken: createHash('sha256').update(system.id).digest('hex').slice(0, 32),
    FileSystemId: system.id,
    FileSystemArn: system.arn,
    CreationTime: 0,
    LifeCycleState: 'available',
    Name: system.tags.find(({ Key }) => Key === 'Name')?.Value,
    NumberOfMountTargets: system.mountTargets,
    SizeInBytes: { Value: 0 },
    PerformanceMode: system.performanceMode,
    ThroughputMode: system.throughputMode,
    Encrypted: system.encrypted,
    Tags: system.tags,
  }
}
