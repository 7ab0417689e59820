import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  CreateSecretCommand,
  DeleteSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  PutSecretValueCommand,
  RestoreSecretCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager'
import { expect, onTestFinished, test } from 'vitest'
import { generateSecretString } from '../../../../local/secrets-manager/generate-secret.ts'
import {
  createSecretsManager,
  type SecretsManagerOptions,
  type TemplateSecret,
} from '../../../../local/secrets-manager/secrets-manager.ts'

const ARN = 'arn:aws:secretsmanager:us-east-1:000000000000:secret:jwt-AbCdEf'

const secret = (properties: Record<string, unknown>): TemplateSecret => ({
  type: 'AWS::SecretsManager::Secret',
  logicalId: 'JwtSecret',
  ref: ARN,
  properties: { Name: 'jwt', ...properties },
})

async function start(options: SecretsManagerOptions = {}) {
  const manager = await createSecretsManager(options)
  onTestFinished(() => manager.close())
  const client = new SecretsManagerClient({
    endpoint: manager.url,
    region: 'us-east-1',
    maxAttempts: 1,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  })
  return {
    manager,
    client,
    get: async (SecretId: string) => (await client.send(new GetSecretValueCommand({ SecretId }))).SecretString,
  }
}

test('a secret of the template is found by name, by ARN and by ARN without suffix', async () => {
  const { get } = await start({ resources: [secret({ SecretString: 'of the template' })] })
  expect(await get('jwt')).toBe('of the template')
  expect(await get(ARN)).toBe('of the template')
  expect(await get(ARN.slice(0, -7))).toBe('of the template')
  await expect(get('other')).rejects.toMatchObject({
    name: 'ResourceNotFoundException',
    message: "Secrets Manager can't find the specified secret.",
  })
})

test('a generated secret survives restarts, and a changed template gives a new version; the file is its owner’s', async () => {
  const stateDir = await mkdtemp(join(tmpdir(), 'secrets-test-'))
  onTestFinished(() => rm(stateDir, { recursive: true, force: true }))
  const generated = [secret({ GenerateSecretString: {} })]
  const first = await start({ stateDir, resources: generated })
  const value = await first.get('jwt')
  expect(value).toHaveLength(32)
  await first.manager.close()
  expect((await stat(join(stateDir, 'secrets.json'))).mode & 0o777).toBe(0o600)

  const second = await start({ stateDir, resources: generated })
  expect(await second.get('jwt')).toBe(value)
  await second.manager.close()

  const third = await start({ stateDir, resources: [secret({ SecretString: 'fixed' })] })
  expect(await third.get('jwt')).toBe('fixed')
  const { VersionIdsToStages } = await third.client.send(new DescribeSecretCommand({ SecretId: 'jwt' }))
  expect(Object.values(VersionIdsToStages ?? {}).sort()).toEqual([['AWSCURRENT'], ['AWSPREVIOUS']])
})

test('labels move with each version; a token repeats or conflicts', async () => {
  const { client, get } = await start()
  await client.send(new CreateSecretCommand({ Name: 'team/a', SecretString: 'one' }))
  const token = '11111111-1111-1111-1111-111111111111'
  await client.send(new PutSecretValueCommand({ SecretId: 'team/a', SecretString: 'two', ClientRequestToken: token }))
  await client.send(new PutSecretValueCommand({ SecretId: 'team/a', SecretString: 'two', ClientRequestToken: token }))
  expect(await get('team/a')).toBe('two')
  const previous = await client.send(new GetSecretValueCommand({ SecretId: 'team/a', VersionStage: 'AWSPREVIOUS' }))
  expect(previous.SecretString).toBe('one')
  await expect(
    client.send(new PutSecretValueCommand({ SecretId: 'team/a', SecretString: 'three', ClientRequestToken: token })),
  ).rejects.toMatchObject({ name: 'ResourceExistsException' })
  await expect(client.send(new CreateSecretCommand({ Name: 'team/a' }))).rejects.toMatchObject({
    name: 'ResourceExistsException',
  })
  await expect(
    client.send(new GetSecretValueCommand({ SecretId: 'team/a', VersionStage: 'AWSPENDING' })),
  ).rejects.toThrow("can't find the specified secret value for staging label: AWSPENDING")
})

test('binary values', async () => {
  const { client } = await start()
  await client.send(new CreateSecretCommand({ Name: 'raw', SecretBinary: Buffer.from([0, 255]) }))
  const { SecretBinary } = await client.send(new GetSecretValueCommand({ SecretId: 'raw' }))
  expect(Buffer.from(SecretBinary ?? [])).toEqual(Buffer.from([0, 255]))
})

test('a deleted secret can be restored within its window, is gone after it, and blocks its name until then', async () => {
  let now = Date.now()
  const { client, get } = await start({ now: () => now })
  await client.send(new CreateSecretCommand({ Name: 'old', SecretString: 'x' }))
  const { DeletionDate } = await client.send(new DeleteSecretCommand({ SecretId: 'old', RecoveryWindowInDays: 7 }))
  expect(DeletionDate?.getTime()).toBeCloseTo(now + 7 * 86_400_000, -3)
  await expect(get('old')).rejects.toMatchObject({ name: 'InvalidRequestException' })
  await expect(client.send(new CreateSecretCommand({ Name: 'old' }))).rejects.toThrow('already scheduled for deletion')
  expect((await client.send(new ListSecretsCommand({}))).SecretList).toEqual([])
  await client.send(new RestoreSecretCommand({ SecretId: 'old' }))
  expect(await get('old')).toBe('x')

  await client.send(new DeleteSecretCommand({ SecretId: 'old', RecoveryWindowInDays: 7 }))
  now += 7 * 86_400_000
  await expect(get('old')).rejects.toMatchObject({ name: 'ResourceNotFoundException' })
  await client.send(new CreateSecretCommand({ Name: 'old', SecretString: 'y' }))
  await client.send(new DeleteSecretCommand({ SecretId: 'old', ForceDeleteWithoutRecovery: true }))
  await expect(get('old')).rejects.toMatchObject({ name: 'ResourceNotFoundException' })
  await expect(
    client.send(new DeleteSecretCommand({ SecretId: 'old', RecoveryWindowInDays: 3 })),
  ).rejects.toMatchObject({ name: 'InvalidParameterException' })
})

test('lists come in pages', async () => {
  const { client } = await start()
  for (const Name of ['c', 'a', 'b']) await client.send(new CreateSecretCommand({ Name, SecretString: Name }))
  const first = await client.send(new ListSecretsCommand({ MaxResults: 2 }))
  expect(first.SecretList?.map(({ Name }) => Name)).toEqual(['a', 'b'])
  const second = await client.send(new ListSecretsCommand({ MaxResults: 2, NextToken: first.NextToken }))
  expect(second.SecretList?.map(({ Name }) => Name)).toEqual(['c'])
  expect(second.NextToken).toBeUndefined()
})

test('a standing order answers for names without a stored value, until one is stored', async () => {
  const standing = (name: string) => (/^team\/[^/]+\/model-key$/.test(name) ? `key of ${name}` : undefined)
  const { client, get } = await start({ standing })
  expect(await get('team/one/model-key')).toBe('key of team/one/model-key')
  await expect(get('team/one/other')).rejects.toMatchObject({ name: 'ResourceNotFoundException' })
  await client.send(new PutSecretValueCommand({ SecretId: 'team/one/model-key', SecretString: 'own' }))
  expect(await get('team/one/model-key')).toBe('own')
})

test('the value of a reference may be one key of a JSON secret', async () => {
  const { manager } = await start({ resources: [secret({ SecretString: '{"user":"u","port":1}' })] })
  expect(manager.value(ARN)).toBe('{"user":"u","port":1}')
  expect(manager.value(`${ARN}:user::`)).toBe('u')
  expect(manager.value(`${ARN}:port:AWSCURRENT:`)).toBe('1')
  expect(manager.value('jwt:SecretString:user')).toBe('u')
  expect(manager.value('jwt:SecretString')).toBe('{"user":"u","port":1}')
  expect(() => manager.value(`${ARN}:none::`)).toThrow('did not contain json key none')
})

test('generated strings keep to their settings', () => {
  const only = (settings: Parameters<typeof generateSecretString>[0]) => generateSecretString(settings)
  expect(only({ ExcludePunctuation: true, ExcludeUppercase: true, PasswordLength: 64 })).toMatch(/^[a-z0-9]{64}$/)
  for (let at = 0; at < 50; at += 1)
    expect(only({ PasswordLength: 4 })).toMatch(/^(?=.*[a-z])(?=.*[A-Z])(?=.*\d)(?=.*[^A-Za-z\d])/)
  const template = only({ SecretStringTemplate: '{"user":"admin"}', GenerateStringKey: 'password', PasswordLength: 10 })
  expect(JSON.parse(template)).toEqual({ user: 'admin', password: expect.stringMatching(/^.{10}$/) })
})
