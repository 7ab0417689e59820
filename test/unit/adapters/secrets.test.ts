import { GetSecretValueCommand, ResourceNotFoundException, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { mockClient } from 'aws-sdk-client-mock'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createSecrets } from '../../../shared/adapters/secrets-manager/secrets.ts'

const client = new SecretsManagerClient({ region: 'eu-central-1' })
const manager = mockClient(client)
afterEach(() => manager.reset())

let now: number
beforeEach(() => {
  now = 0
})
const create = () =>
  createSecrets({
    jwtSecretId: 'stage/jwt',
    linkSecretId: 'stage/link',
    teamSecretsPrefix: 'stage/teams',
    client,
    clock: { now: () => new Date(now) },
  })
const asked = () => manager.commandCalls(GetSecretValueCommand).map(({ args }) => args[0].input.SecretId)
const absent = new ResourceNotFoundException({ message: 'no such secret', $metadata: {} })
const MINUTE = 60_000

describe('jwtSecret', () => {
  it('is read once in five minutes, however many ask', async () => {
    manager.on(GetSecretValueCommand).resolves({ SecretString: 'one\n' })
    const secrets = create()
    expect(await Promise.all([secrets.jwtSecret(), secrets.jwtSecret()])).toEqual(['one', 'one'])
    now = 5 * MINUTE - 1
    await secrets.jwtSecret()
    expect(asked()).toEqual(['stage/jwt'])
    now += 1
    manager.on(GetSecretValueCommand).resolves({ SecretString: 'two' })
    expect(await secrets.jwtSecret()).toBe('two')
  })

  it('outlives an outage of Secrets Manager for an hour, not longer', async () => {
    manager.on(GetSecretValueCommand).resolves({ SecretString: 'one' })
    const secrets = create()
    await secrets.jwtSecret()
    manager.on(GetSecretValueCommand).rejects(new Error('unreachable'))
    now = 60 * MINUTE - 1
    expect(await secrets.jwtSecret()).toBe('one')
    now += 1
    await expect(secrets.jwtSecret()).rejects.toThrow('unreachable')
  })

  it('does not remember a failure', async () => {
    manager.on(GetSecretValueCommand).rejectsOnce(new Error('unreachable')).resolves({ SecretString: 'one' })
    const secrets = create()
    await expect(secrets.jwtSecret()).rejects.toThrow('unreachable')
    expect(await secrets.jwtSecret()).toBe('one')
  })

  it.each([[{ SecretString: '' }], [{ SecretString: ' \n' }], [{}]])('throws for %j', async (output) => {
    manager.on(GetSecretValueCommand).resolves(output)
    await expect(create().jwtSecret()).rejects.toThrow('stage/jwt is absent or empty')
  })

  it('throws when the secret does not exist, or the function was not given one', async () => {
    manager.on(GetSecretValueCommand).rejects(absent)
    await expect(create().jwtSecret()).rejects.toThrow('absent or empty')
    await expect(createSecrets({ client }).jwtSecret()).rejects.toThrow('JWT_SECRET_ID')
    await expect(createSecrets({ client }).linkSecret()).rejects.toThrow('LINK_SECRET_ID')
  })
})

describe('teamModelKey', () => {
  it("is the team's own secret", async () => {
    manager.on(GetSecretValueCommand, { SecretId: 'stage/teams/t1/model-key' }).resolves({ SecretString: 'sk-1' })
    manager.on(GetSecretValueCommand, { SecretId: 'stage/teams/t2/model-key' }).resolves({ SecretString: 'sk-2' })
    const secrets = create()
    expect(await Promise.all([secrets.teamModelKey('t1'), secrets.teamModelKey('t2')])).toEqual(['sk-1', 'sk-2'])
  })

  it('is undefined for a team without one, which is asked again after half a minute', async () => {
    manager.on(GetSecretValueCommand).rejects(absent)
    const secrets = create()
    expect(await secrets.teamModelKey('t1')).toBeUndefined()
    manager.on(GetSecretValueCommand).resolves({ SecretString: 'sk-1' })
    now = 30_000 - 1
    expect(await secrets.teamModelKey('t1')).toBeUndefined()
    now += 1
    expect(await secrets.teamModelKey('t1')).toBe('sk-1')
  })

  it('throws when it cannot be read: that is not "none"', async () => {
    manager.on(GetSecretValueCommand).rejects(Object.assign(new Error('no'), { name: 'AccessDeniedException' }))
    await expect(create().teamModelKey('t1')).rejects.toThrow('no')
  })

  it.each([['..'], ['a/b'], [''], ['t1/../t2'], ['x'.repeat(65)]])('refuses the team id "%s"', async (teamId) => {
    manager.on(GetSecretValueCommand).resolves({ SecretString: 'sk' })
    await expect(create().teamModelKey(teamId)).rejects.toThrow()
    expect(asked()).toEqual([])
  })

  it('keeps at most 500 in memory', async () => {
    manager.on(GetSecretValueCommand).resolves({ SecretString: 'sk' })
    const secrets = create()
    for (let team = 0; team <= 500; team++) await secrets.teamModelKey(`t${team}`)
    const before = asked().length
    await secrets.teamModelKey('t500')
    expect(asked()).toHaveLength(before)
    await secrets.teamModelKey('t0')
    expect(asked()).toHaveLength(before + 1)
  })
})

describe('teamGitCredentials', () => {
  it('is what the team has stored now, asked for each time', async () => {
    manager.on(GetSecretValueCommand).rejects(absent)
    const secrets = create()
    expect(await secrets.teamGitCredentials('t1')).toBeUndefined()
    manager
      .on(GetSecretValueCommand, { SecretId: 'stage/teams/t1/git-credentials' })
      .resolves({ SecretString: '{"kind":"token","token":"t"}' })
    expect(await secrets.teamGitCredentials('t1')).toBe('{"kind":"token","token":"t"}')
    manager.on(GetSecretValueCommand).rejects(Object.assign(new Error('no'), { name: 'AccessDeniedException' }))
    await expect(secrets.teamGitCredentials('t2')).rejects.toThrow('no')
    await expect(secrets.teamGitCredentials('t1/../t2')).rejects.toThrow()
  })
})

describe('internalApiSecret', () => {
  it('is the secret that the function was given, which must be there', async () => {
    manager.on(GetSecretValueCommand, { SecretId: 'internal' }).resolves({ SecretString: 'shared' })
    expect(await createSecrets({ internalApiSecretId: 'internal', client }).internalApiSecret()).toBe('shared')
    await expect(createSecrets({ client }).internalApiSecret()).rejects.toThrow('INTERNAL_API_SECRET_ID')
  })
})
