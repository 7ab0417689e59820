/** What a mocked client cannot show: the SDK's own errors and time-outs, over HTTP. */
import { createServer } from 'node:http'
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { ReceiveMessageCommand } from '@aws-sdk/client-sqs'
import { describe, expect, it, onTestFinished } from 'vitest'
import { closeServer, listen } from '../../../local/common/listen.ts'
import { createSecretsManager } from '../../../local/secrets-manager/secrets-manager.ts'
import { AWS_CLIENT_DEFAULTS } from '../../../shared/adapters/aws-client-defaults.ts'
import { createSecrets } from '../../../shared/adapters/secrets-manager/secrets.ts'
import { createWorkQueue } from '../../../shared/adapters/sqs/work-queue.ts'
import type { Work } from '../../../shared/contracts/work.ts'
import { toHttpError } from '../../../shared/runtime/errors-to-http.ts'
import { newRandomId } from '../../../shared/runtime/realtime-deps.ts'
import { queue, startSqs } from '../local/sqs/support.ts'

const local = { region: 'us-east-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' } }

describe('secrets', () => {
  it('are told apart from those that do not exist', async () => {
    const secretOf = (name: string) => ({
      type: 'AWS::SecretsManager::Secret',
      logicalId: name.replaceAll(/\W/g, ''),
      ref: `arn:aws:secretsmanager:us-east-1:000000000000:secret:${name}-AbCdEf`,
      properties: { Name: name, SecretString: `value of ${name}` },
    })
    const manager = await createSecretsManager({ resources: [secretOf('jwt'), secretOf('teams/t1/model-key')] })
    onTestFinished(() => manager.close())
    const client = new SecretsManagerClient({ ...AWS_CLIENT_DEFAULTS, ...local, endpoint: manager.url })
    const secrets = createSecrets({ jwtSecretId: 'jwt', teamSecretsPrefix: 'teams', client })
    expect(await secrets.jwtSecret()).toBe('value of jwt')
    expect(await secrets.teamModelKey('t1')).toBe('value of teams/t1/model-key')
    expect(await secrets.teamModelKey('t2')).toBeUndefined()
  })
})

describe('the work queue', () => {
  it('takes work as its consumer reads it', async () => {
    const { client, urlOf } = await startSqs([queue('work')])
    const work: Work = { kind: 'deliver', sid: 's', attempt: 1 }
    await createWorkQueue(urlOf('work'), client).send(work)
    const { Messages } = await client.send(new ReceiveMessageCommand({ QueueUrl: urlOf('work'), WaitTimeSeconds: 5 }))
    expect(Messages?.map(({ Body }) => JSON.parse(Body ?? ''))).toEqual([work])
  })

  it('takes the shares of a room, many at once', async () => {
    const { client, urlOf } = await startSqs([queue('work')])
    const news = { kind: 'team', teamId: 't', after: 7 } as const
    const work = Array.from(
      { length: 12 },
      (_, n): Work => ({ kind: 'tell', news, sessions: { from: `${n}`, to: `${n}z` }, again: false }),
    )
    await createWorkQueue(urlOf('work'), client).sendAll(work)
    const receive = new ReceiveMessageCommand({ QueueUrl: urlOf('work'), MaxNumberOfMessages: 10, WaitTimeSeconds: 5 })
    const received = [await client.send(receive), await client.send(receive)].flatMap(({ Messages = [] }) => Messages)
    expect(received.map(({ Body }) => JSON.parse(Body ?? ''))).toEqual(work)
  })

  it('takes no whole session id in a share', async () => {
    const { client, urlOf } = await startSqs([queue('work')])
    const sessions = { from: newRandomId(), to: newRandomId() }
    const news = { kind: 'team', teamId: 't', after: 7 } as const
    const sending = createWorkQueue(urlOf('work'), client).sendAll([{ kind: 'tell', news, sessions, again: false }])
    await expect(sending).rejects.toThrow('Too big')
  })
})

describe('AWS_CLIENT_DEFAULTS', () => {
  it('throw when an answer does not come, which a client sees as 503', async () => {
    const silent = createServer(() => undefined)
    const url = await listen(silent)
    onTestFinished(() => closeServer(silent, 0))
    const { requestHandler } = AWS_CLIENT_DEFAULTS
    const bounded = {
      ...AWS_CLIENT_DEFAULTS,
      maxAttempts: 1,
      requestHandler: { ...requestHandler, requestTimeout: 50 },
    }
    const client = new SecretsManagerClient({ ...bounded, ...local, endpoint: url })
    const error: unknown = await client.send(new GetSecretValueCommand({ SecretId: 'x' })).catch((e: unknown) => e)
    expect(error).toMatchObject({ name: 'TimeoutError' })
    expect(toHttpError(error).status).toBe(503)
  })

  it('give up on a service that nobody serves with an error that a client sees as 503', async () => {
    const gone = createServer()
    const url = await listen(gone)
    await closeServer(gone)
    const client = new SecretsManagerClient({ ...AWS_CLIENT_DEFAULTS, ...local, endpoint: url })
    const error: unknown = await client.send(new GetSecretValueCommand({ SecretId: 'x' })).catch((e: unknown) => e)
    expect(toHttpError(error)).toMatchObject({ status: 503, code: 'UNAVAILABLE' })
  })
})
