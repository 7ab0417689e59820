import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { Resource } from '../assembly/cloud-assembly.ts'
import type { AwsOperation, OnRequest } from '../common/aws-call.ts'
import { AwsError } from '../common/aws-error.ts'
import { createAwsJsonServer } from '../common/aws-json-server.ts'
import { createStateFile, readStateFile } from '../ecs/state-file.ts'
import { type GenerateSecretString, generateSecretString } from './generate-secret.ts'
import { assertNotDeleted, type Secret, SecretStore } from './secret-store.ts'

/** A resource of the template, as far as this part reads it. */
export type TemplateSecret = Pick<Resource, 'type' | 'logicalId' | 'ref' | 'properties'>

/** What `createSecretsManager` takes. */
export interface SecretsManagerOptions {
  /** The template's `AWS::SecretsManager::Secret`; others are passed over. */
  readonly resources?: readonly TemplateSecret[]
  /** Where `secrets.json` is kept, readable by its owner only; in memory when undefined. */
  readonly stateDir?: string
  /**
   * The value that an operator has given a name in advance. It stands for the person who, on AWS, stores a secret for
   * each name of a pattern (a team's model key): used when nothing is stored under the name.
   */
  readonly standing?: (name: string) => string | undefined
  readonly onRequest?: OnRequest
  readonly port?: number
  readonly now?: () => number
}

/** A running AWS Secrets Manager endpoint. */
export interface SecretsManager {
  /** The value for `AWS_ENDPOINT_URL_SECRETS_MANAGER`. */
  readonly url: string
  /**
   * The value that `valueFrom` of a container's secret names (a name or ARN, with or without
   * `:json-key:version-stage:version-id`), or a dynamic reference (`name:SecretString:json-key:…`). Throws the errors of
   * GetSecretValue.
   */
  value(reference: string): string
  close(): Promise<void>
}

const DAY_RANGE = { least: 7, most: 30 }

/** Starts an AWS Secrets Manager endpoint. */
export async function createSecretsManager(options: SecretsManagerOptions = {}): Promise<SecretsManager> {
  const path = options.stateDir === undefined ? undefined : join(options.stateDir, 'secrets.json')
  const before = path === undefined ? undefined : ((await readStateFile(path)) as Secret[] | undefined)
  const file = createStateFile(path, () => JSON.stringify(store.all()))
  const store = new SecretStore({
    secrets: before ?? [],
    now: options.now ?? Date.now,
    standing: options.standing ?? (() => undefined),
    file: () => file,
  })
  for (const resource of options.resources ?? [])
    if (resource.type === 'AWS::SecretsManager::Secret') defineSecret(store, resource)
  await store.save()

  const server = await createAwsJsonServer({
    services: [{ name: 'secretsmanager', target: 'secretsmanager', version: '1.1', operations: operations(store) }],
    onRequest: options.onRequest,
    port: options.port,
  })
  return {
    url: server.url,
    value: (reference) => resolveReference(store, reference),
    async close() {
      await server.close()
      await file.close()
    },
  }
}

/** A stored value stays when the template still says the same, as an update of the stack would leave it. */
function defineSecret(store: SecretStore, { ref, logicalId, properties }: TemplateSecret): void {
  const suffixed = ref.startsWith('arn:') ? (ref.split(':secret:')[1] ?? '') : ''
  const name = (properties.Name as string | undefined) ?? (suffixed.slice(0, -7) || logicalId)
  const settings = properties.GenerateSecretString as GenerateSecretString | undefined
  const fixed = properties.SecretString as string | undefined
  const templateDigest = createHash('sha256')
    .update(JSON.stringify([fixed, settings]) ?? '')
    .digest('hex')
  let secret = store.all().find((each) => each.name === name)
  if (secret?.templateDigest === templateDigest) return
  const tags = (properties.Tags as Secret['tags'] | undefined) ?? []
  const description = properties.Description as string | undefined
  secret ??= store.create(name, {
    ...(description === undefined ? {} : { description }),
    tags,
    ...(ref.startsWith('arn:') ? { arn: ref } : {}),
  })
  secret.templateDigest = templateDigest
  if (fixed !== undefined) store.put(secret, { secretString: fixed })
  else if (settings) store.put(secret, { secretString: generateSecretString(settings) })
}

/** `id[:json-key[:stage[:version-id]]]`; a dynamic reference of a template has `SecretString` after the id. */
const REFERENCE =
  /^(arn:[^:]+:[^:]+:[^:]*:[^:]*:secret:[^:]+|[^:]+)(?::SecretString)?(?::([^:]*))?(?::([^:]*))?(?::([^:]*))?$/

function resolveReference(store: SecretStore, reference: string): string {
  const [, secretId = reference, jsonKey = '', stage = '', versionId = ''] = REFERENCE.exec(reference) ?? []
  const secret = store.find(secretId)
  assertNotDeleted(secret)
  const { secretString } = store.version(secret, versionId || undefined, stage || undefined)
  if (secretString === undefined)
    throw new AwsError('ResourceNotFoundException', `The secret ${secret.name} has no SecretString`)
  if (jsonKey === '') return secretString
  const value = (JSON.parse(secretString) as Record<string, unknown>)[jsonKey]
  if (value === undefined)
    throw new AwsError('ResourceNotFoundException', `The secret ${secret.name} did not contain json key ${jsonKey}`)
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function describeSecret(secret: Secret): Record<string, unknown> {
  return {
    ARN: secret.arn,
    Name: secret.name,
    ...(secret.description === undefined ? {} : { Description: secret.description }),
    CreatedDate: secret.createdAt / 1_000,
    LastChangedDate: secret.changedAt / 1_000,
    ...(secret.deletionAt === undefined ? {} : { DeletedDate: secret.deletionAt / 1_000 }),
    Tags: secret.tags,
  }
}

interface Input {
  readonly SecretId?: string
  readonly Name?: string
  readonly Description?: string
  readonly SecretString?: string
  readonly SecretBinary?: string
  readonly ClientRequestToken?: string
  readonly VersionId?: string
  readonly VersionStage?: string
  readonly VersionStages?: readonly string[]
  readonly Tags?: Secret['tags']
  readonly RecoveryWindowInDays?: number
  readonly ForceDeleteWithoutRecovery?: boolean
  readonly MaxResults?: number
  readonly NextToken?: string
  readonly IncludePlannedDeletion?: boolean
  readonly Filters?: readonly { readonly Key?: string; readonly Values?: readonly string[] }[]
}

function operations(store: SecretStore): Record<string, AwsOperation> {
  return {
    GetSecretValue({ SecretId, VersionId, VersionStage }: Input) {
      const secret = store.find(SecretId)
      assertNotDeleted(secret)
      const version = store.version(secret, VersionId, VersionStage)
      return {
        ARN: secret.arn,
        Name: secret.name,
        VersionId: version.id,
        ...(version.secretString === undefined ? {} : { SecretString: version.secretString }),
        ...(version.secretBinary === undefined ? {} : { SecretBinary: version.secretBinary }),
        VersionStages: version.stages,
        CreatedDate: version.createdAt / 1_000,
      }
    },
    async CreateSecret(input: Input) {
      const { Name = '', Description, Tags = [], SecretString, SecretBinary } = input
      const secret = store.create(Name, {
        ...(Description === undefined ? {} : { description: Description }),
        tags: Tags,
      })
      const hasValue = SecretString !== undefined || SecretBinary !== undefined
      const version = hasValue
        ? store.put(secret, { secretString: SecretString, secretBinary: SecretBinary }, input.ClientRequestToken)
        : undefined
      await store.save()
      return { ARN: secret.arn, Name: secret.name, ...(version ? { VersionId: version.id } : {}) }
    },
    async PutSecretValue(input: Input) {
      const secret = store.find(input.SecretId)
      const value = { secretString: input.SecretString, secretBinary: input.SecretBinary }
      const version = store.put(secret, value, input.ClientRequestToken, input.VersionStages)
      await store.save()
      return { ARN: secret.arn, Name: secret.name, VersionId: version.id, VersionStages: version.stages }
    },
    DescribeSecret({ SecretId }: Input) {
      const secret = store.find(SecretId)
      const labelled = secret.versions.filter(({ stages }) => stages.length > 0)
      return {
        ...describeSecret(secret),
        VersionIdsToStages: Object.fromEntries(labelled.map(({ id, stages }) => [id, stages])),
      }
    },
    async DeleteSecret({ SecretId, RecoveryWindowInDays, ForceDeleteWithoutRecovery = false }: Input) {
      const { least, most } = DAY_RANGE
      if (ForceDeleteWithoutRecovery && RecoveryWindowInDays !== undefined)
        throw new AwsError(
          'InvalidParameterException',
          "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
        )
      const days = RecoveryWindowInDays ?? most
      if (!Number.isInteger(days) || days < least || days > most)
        throw new AwsError(
          'InvalidParameterException',
          `The RecoveryWindowInDays value must be between ${least} and ${most} days (inclusive).`,
        )
      const secret = store.find(SecretId)
      const at = store.delete(secret, ForceDeleteWithoutRecovery ? 0 : days)
      await store.save()
      return { ARN: secret.arn, Name: secret.name, DeletionDate: at / 1_000 }
    },
    async RestoreSecret({ SecretId }: Input) {
      const secret = store.find(SecretId)
      delete secret.deletionAt
      await store.save()
      return { ARN: secret.arn, Name: secret.name }
    },
    ListSecrets: (input: Input) => listSecrets(store, input),
  }
}

function listSecrets(store: SecretStore, input: Input): Record<string, unknown> {
  const { MaxResults = 100, NextToken, IncludePlannedDeletion = false, Filters = [] } = input
  if (!Number.isInteger(MaxResults) || MaxResults < 1 || MaxResults > 100)
    throw new AwsError('InvalidParameterException', 'MaxResults must be between 1 and 100.')
  const names = Filters.filter(({ Key }) => Key === 'name' || Key === 'all').flatMap(({ Values = [] }) => Values)
  // The token is the last name given out, so that secrets that come and go shift no page.
  const after = NextToken === undefined ? '' : Buffer.from(NextToken, 'base64url').toString()
  const found = store
    .all()
    .filter(({ deletionAt }) => IncludePlannedDeletion || deletionAt === undefined)
    .filter(({ name }) => names.length === 0 || names.some((prefix) => name.startsWith(prefix)))
    .filter(({ name }) => name > after)
  const page = found.slice(0, MaxResults)
  const last = page.at(-1)
  return {
    SecretList: page.map(describeSecret),
    ...(last && found.length > page.length ? { NextToken: Buffer.from(last.name).toString('base64url') } : {}),
  }
}
