import { randomBytes } from 'node:crypto'
import { ACCOUNT_ID, arn } from '../assembly/account.ts'
import { AwsError } from '../common/aws-error.ts'

/** A tag of a file system or access point. */
export interface EfsTag {
  readonly Key: string
  readonly Value: string
}

/** User and group that stand for whoever writes through an access point. */
export interface PosixUser {
  readonly Uid: number
  readonly Gid: number
  readonly SecondaryGids?: readonly number[]
}

/** Owner and mode of a root directory that is made at the first mount; `Permissions` is octal. */
export interface CreationInfo {
  readonly OwnerUid: number
  readonly OwnerGid: number
  readonly Permissions: string
}

/** An access point; `createdAt` is epoch milliseconds. */
export interface AccessPoint {
  readonly id: string
  readonly fileSystemId: string
  readonly clientToken: string
  readonly posixUser?: PosixUser
  readonly rootDirectory: { readonly Path: string; readonly CreationInfo?: CreationInfo }
  readonly createdAt: number
  tags: readonly EfsTag[]
}

/** What makes an access point. */
export type NewAccessPoint = Omit<AccessPoint, 'id' | 'createdAt'>

/** Access points of one file system. Source: EFS User Guide, limits.html#limits-efs-resources-per-account-per-region */
const MAX_ACCESS_POINTS = 10_000

/** The ARN of an access point, as `elasticfilesystem:AccessPointArn` names it in policies. */
export function accessPointArn(id: string): string {
  return arn('elasticfilesystem', `access-point/${id}`)
}

/** The error for an access point that is not there. */
export function accessPointNotFound(id: string): AwsError {
  return new AwsError('AccessPointNotFound', `Access Point ${id} does not exist.`, { statusCode: 404 })
}

/** All access points: those of the template, which cannot be told apart here, and those made by call, which are kept. */
export class AccessPoints {
  readonly #byId = new Map<string, AccessPoint>()
  readonly #byToken = new Map<string, AccessPoint>()
  readonly #ofTemplate = new Set<string>()

  constructor(ofTemplate: readonly AccessPoint[], kept: readonly AccessPoint[]) {
    for (const point of ofTemplate) this.#ofTemplate.add(point.id)
    for (const point of [...kept, ...ofTemplate]) this.#put(point)
  }

  #put(point: AccessPoint): void {
    this.#byId.set(point.id, point)
    this.#byToken.set(point.clientToken, point)
  }

  /** In the order in which they were made. */
  all(): AccessPoint[] {
    return [...this.#byId.values()]
  }

  /** Those made by call, for the state file. */
  made(): AccessPoint[] {
    return this.all().filter(({ id }) => !this.#ofTemplate.has(id))
  }

  find(id: string): AccessPoint | undefined {
    return this.#byId.get(id)
  }

  /**
   * Throws AccessPointAlreadyExists, with the id of the one that is there, when the token was used, also with the same
   * parameters and for another file system, and AccessPointLimitExceeded.
   */
  add(fields: NewAccessPoint, at: number): AccessPoint {
    const before = this.#byToken.get(fields.clientToken)
    if (before)
      throw new AwsError('AccessPointAlreadyExists', `Access point already exists: ${before.id}`, {
        statusCode: 409,
        fields: { AccessPointId: before.id },
      })
    let used = 0
    for (const { fileSystemId } of this.#byId.values()) if (fileSystemId === fields.fileSystemId) used += 1
    if (used >= MAX_ACCESS_POINTS)
      throw new AwsError(
        'AccessPointLimitExceeded',
        `You have reached the maximum number of access points (${MAX_ACCESS_POINTS}) for your file system ${fields.fileSystemId}. Delete an access point and add a new one.`,
        { statusCode: 403 },
      )
    const point: AccessPoint = { ...fields, id: `fsap-0${randomBytes(8).toString('hex')}`, createdAt: at }
    this.#put(point)
    return point
  }

  remove(point: AccessPoint): void {
    this.#byId.delete(point.id)
    this.#byToken.delete(point.clientToken)
  }
}

/** As the API describes an access point. */
export function accessPointDocument(point: AccessPoint, state: 'creating' | 'available'): Record<string, unknown> {
  return {
    ClientToken: point.clientToken,
    Name: point.tags.find(({ Key }) => Key === 'Name')?.Value,
    Tags: point.tags,
    AccessPointId: point.id,
    AccessPointArn: accessPointArn(point.id),
    FileSystemId: point.fileSystemId,
    PosixUser: point.posixUser,
    RootDirectory: point.rootDirectory,
    OwnerId: ACCOUNT_ID,
    LifeCycleState: state,
  }
}
