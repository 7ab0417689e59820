import { createHash, randomUUID } from 'node:crypto'
import { arn } from '../assembly/account.ts'
import { AwsError } from '../common/aws-error.ts'
import type { StateFile } from '../ecs/state-file.ts'

/** A version of a secret: its value and the staging labels that point to it. */
export interface SecretVersion {
  readonly id: string
  readonly secretString?: string
  /** Base64. */
  readonly secretBinary?: string
  readonly createdAt: number
  stages: string[]
}

/** A secret. Times are epoch milliseconds. */
export interface Secret {
  readonly arn: string
  readonly name: string
  description?: string
  tags: readonly { readonly Key: string; readonly Value?: string }[]
  readonly createdAt: number
  changedAt: number
  /** When it goes for good; set while it is marked for deletion. */
  deletionAt?: number
  versions: SecretVersion[]
  /** Digest of the template's value, to see a change of the template; undefined for other secrets. */
  templateDigest?: string
}

/** What a new version holds; one of the two. */
export interface SecretValue {
  readonly secretString?: string | undefined
  readonly secretBinary?: string | undefined
}

/** Versions without a label are kept until there are more than this. Source: Secrets Manager quotas. */
const MAX_VERSIONS = 100
const MAX_BYTES = 65_536
const NAME = /^[A-Za-z0-9/_+=.@-]{1,512}$/

/** All secrets; every change is on disk when its promise resolves. */
export class SecretStore {
  readonly #secrets = new Map<string, Secret>()
  readonly #now: () => number
  readonly #standing: (name: string) => string | undefined
  readonly #file: () => StateFile

  constructor(options: {
    secrets: readonly Secret[]
    now: () => number
    standing: (name: string) => string | undefined
    file: () => StateFile
  }) {
    for (const secret of options.secrets) this.#secrets.set(secret.name, secret)
    this.#now = options.now
    this.#standing = options.standing
    this.#file = options.file
  }

  /** All that are not past their deletion, by name. */
  all(): Secret[] {
    for (const secret of this.#secrets.values())
      if (secret.deletionAt !== undefined && secret.deletionAt <= this.#now()) this.#secrets.delete(secret.name)
    return [...this.#secrets.values()].sort((one, other) => (one.name < other.name ? -1 : 1))
  }

  /** By name, ARN, or ARN without its last seven characters. Throws ResourceNotFoundException. */
  find(secretId: string | undefined): Secret {
    const wanted = secretId ?? ''
    const prefix = arn('secretsmanager', 'secret:')
    const found = this.all().find(
      (secret) => wanted === secret.name || wanted === secret.arn || wanted === secret.arn.slice(0, -7),
    )
    const secret =
      found ??
      (wanted.startsWith(prefix)
        ? (this.#standingSecret(wanted.slice(prefix.length)) ?? this.#standingSecret(wanted.slice(prefix.length, -7)))
        : this.#standingSecret(wanted))
    if (!secret) throw new AwsError('ResourceNotFoundException', "Secrets Manager can't find the specified secret.")
    return secret
  }

  /** A secret that the operator's standing order gives a value; it is not stored until someone changes it. */
  #standingSecret(name: string): Secret | undefined {
    const value = this.#standing(name)
    if (value === undefined) return undefined
    const secret = this.#blank(name)
    secret.versions.push(this.#standingVersion(value))
    return secret
  }

  #standingVersion(value: string): SecretVersion {
    const id = createHash('sha256').update(value).digest('hex').slice(0, 32)
    return { id, secretString: value, createdAt: 0, stages: ['AWSCURRENT'] }
  }

  #blank(name: string): Secret {
    // A fixed suffix, so that the name has the same ARN at each start, also when it was never stored.
    const suffix = createHash('sha256')
      .update(name)
      .digest('base64url')
      .replace(/[^A-Za-z0-9]/g, 'x')
      .slice(0, 6)
    const at = this.#now()
    return {
      arn: arn('secretsmanager', `secret:${name}-${suffix}`),
      name,
      tags: [],
      createdAt: at,
      changedAt: at,
      versions: [],
    }
  }

  /** The version with this id, or this label (AWSCURRENT unless given). Throws ResourceNotFoundException. */
  version(secret: Secret, versionId: string | undefined, stage: string | undefined): SecretVersion {
    const label = stage ?? (versionId === undefined ? 'AWSCURRENT' : undefined)
    const found = secret.versions.find(
      ({ id, stages }) =>
        (versionId === undefined || id === versionId) && (label === undefined || stages.includes(label)),
    )
    if (found) return found
    const standing = versionId === undefined && label === 'AWSCURRENT' ? this.#standing(secret.name) : undefined
    if (standing !== undefined) return this.#standingVersion(standing)
    const what = label === undefined ? `VersionId: ${versionId}` : `staging label: ${label}`
    throw new AwsError('ResourceNotFoundException', `Secrets Manager can't find the specified secret value for ${what}`)
  }

  /** Throws ResourceExistsException, InvalidRequestException (marked for deletion) or InvalidParameterException. */
  create(name: string, fields: Pick<Secret, 'description' | 'tags'> & { arn?: string }): Secret {
    if (!NAME.test(name))
      throw new AwsError(
        'ValidationException',
        `Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!`,
      )
    const before = this.all().find((secret) => secret.name === name)
    if (before?.deletionAt !== undefined)
      throw new AwsError(
        'InvalidRequestException',
        "You can't create this secret because a secret with this name is already scheduled for deletion.",
      )
    if (before)
      throw new AwsError('ResourceExistsException', `The operation failed because the secret ${name} already exists.`)
    const secret: Secret = { ...this.#blank(name), ...fields }
    this.#secrets.set(name, secret)
    return secret
  }

  /**
   * Adds a version and moves the labels to it; what loses AWSCURRENT gets AWSPREVIOUS. The same id with the same value
   * changes nothing, with another it throws ResourceExistsException.
   */
  put(
    secret: Secret,
    value: SecretValue,
    id: string = randomUUID(),
    stages: readonly string[] = ['AWSCURRENT'],
  ): SecretVersion {
    assertNotDeleted(secret)
    const { secretString, secretBinary } = value
    if ((secretString === undefined) === (secretBinary === undefined))
      throw new AwsError('InvalidParameterException', 'You must provide either SecretString or SecretBinary.')
    if (
      Buffer.byteLength(secretString ?? '') > MAX_BYTES ||
      Buffer.byteLength(secretBinary ?? '', 'base64') > MAX_BYTES
    )
      throw new AwsError('InvalidParameterException', `The secret value is longer than ${MAX_BYTES} bytes.`)
    const before = secret.versions.find((version) => version.id === id)
    if (before && (before.secretString !== secretString || before.secretBinary !== secretBinary))
      throw new AwsError(
        'ResourceExistsException',
        "You can't use ClientRequestToken because that token is already in use.",
      )
    if (before) return before
    const version: SecretVersion = {
      id,
      ...(secretString === undefined ? {} : { secretString }),
      ...(secretBinary === undefined ? {} : { secretBinary }),
      createdAt: this.#now(),
      stages: [],
    }
    this.#secrets.set(secret.name, secret)
    secret.versions.push(version)
    secret.changedAt = this.#now()
    for (const stage of stages) moveLabel(secret, stage, version)
    secret.versions = secret.versions.filter(
      ({ stages: own }, at) => own.length > 0 || at >= secret.versions.length - MAX_VERSIONS,
    )
    return version
  }

  /** Marks for deletion after a number of days, or removes at once when that is 0. */
  delete(secret: Secret, days: number): number {
    assertNotDeleted(secret)
    const at = this.#now() + days * 86_400_000
    if (days === 0) this.#secrets.delete(secret.name)
    else secret.deletionAt = at
    return at
  }

  save(): Promise<void> {
    return this.#file().save()
  }
}

function moveLabel(secret: Secret, label: string, target: SecretVersion): void {
  const holder = secret.versions.find(({ stages }) => stages.includes(label))
  if (holder === target) return
  if (holder) holder.stages = holder.stages.filter((stage) => stage !== label)
  target.stages.push(label)
  if (label === 'AWSCURRENT' && holder) moveLabel(secret, 'AWSPREVIOUS', holder)
}

/** Throws InvalidRequestException for a secret that is marked for deletion. */
export function assertNotDeleted(secret: Secret): void {
  if (secret.deletionAt !== undefined)
    throw new AwsError(
      'InvalidRequestException',
      "You can't perform this operation on the secret because it was marked for deletion.",
    )
}
