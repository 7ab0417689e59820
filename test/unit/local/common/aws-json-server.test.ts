import { DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb'
import { ECSClient, RunTaskCommand } from '@aws-sdk/client-ecs'
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge'
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { AwsCall } from '../../../../local/common/aws-call.ts'
import { AwsError } from '../../../../local/common/aws-error.ts'
import { type AwsJsonServerOptions, createAwsJsonServer } from '../../../../local/common/aws-json-server.ts'
import type { AwsServer } from '../../../../local/common/aws-server.ts'

const config = (endpoint: string) => ({
  endpoint,
  region: 'us-east-1',
  credentials: { accessKeyId: 'AKIALOCAL7', secretAccessKey: 'secret' },
  maxAttempts: 1,
})

let running: AwsServer | undefined
async function start(options: Partial<AwsJsonServerOptions> = {}): Promise<string> {
  running = await createAwsJsonServer({
    services: [
      {
        name: 'ecs',
        target: 'AmazonEC2ContainerServiceV20141113',
        version: '1.1',
        operations: { RunTask: (input) => ({ tasks: [{ taskDefinitionArn: input.taskDefinition }] }) },
      },
      {
        name: 'dynamodb',
        target: 'DynamoDB_20120810',
        version: '1.0',
        errorPrefix: 'com.amazonaws.dynamodb.v20120810#',
        operations: {
          GetItem: () => {
            throw new AwsError('ProvisionedThroughputExceededException', 'Slow down')
          },
        },
      },
      {
        name: 'events',
        target: 'AWSEvents',
        version: '1.1',
        operations: { PutEvents: () => ({ FailedEntryCount: 0 }) },
      },
      {
        name: 'sqs',
        target: 'AmazonSQS',
        version: '1.0',
        operations: { SendMessage: (_, call) => ({ MessageId: call.operation }) },
      },
      {
        name: 'secretsmanager',
        target: 'secretsmanager',
        version: '1.1',
        operations: {
          GetSecretValue: () => {
            throw new Error('a defect')
          },
        },
      },
    ],
    ...options,
  })
  return running.url
}
afterEach(async () => running?.close())

const runTask = (url: string, maxAttempts = 1) =>
  new ECSClient({ ...config(url), maxAttempts }).send(new RunTaskCommand({ taskDefinition: 'agent:1' }))

describe('createAwsJsonServer', () => {
  it('answers the clients of SDK v3 in their own protocol', async () => {
    const url = await start()
    expect((await runTask(url)).tasks?.[0]?.taskDefinitionArn).toBe('agent:1')
    const events = new EventBridgeClient(config(url))
    const entry = { Source: 's', DetailType: 'd', Detail: '{}' }
    expect((await events.send(new PutEventsCommand({ Entries: [entry] }))).FailedEntryCount).toBe(0)
    const send = new SendMessageCommand({ QueueUrl: `${url}/000000000000/jobs`, MessageBody: 'm' })
    expect((await new SQSClient({ ...config(url), md5: false }).send(send)).MessageId).toBe('SendMessage')
  })

  it('answers an AwsError so that the client throws it under its name', async () => {
    const url = await start()
    const get = new GetItemCommand({ TableName: 't', Key: { id: { S: '1' } } })
    const failure = new DynamoDBClient(config(url)).send(get)
    await expect(failure).rejects.toMatchObject({
      name: 'ProvisionedThroughputExceededException',
      message: 'Slow down',
    })
  })

  it('reports a defect and answers 500', async () => {
    const onDefect = vi.fn()
    const url = await start({ onDefect })
    const failure = new SecretsManagerClient(config(url)).send(new GetSecretValueCommand({ SecretId: 's' }))
    await expect(failure).rejects.toMatchObject({ name: 'InternalServerError', $metadata: { httpStatusCode: 500 } })
    expect(onDefect).toHaveBeenCalledOnce()
  })

  it('shows each call, with its caller, to onRequest, which may refuse it', async () => {
    const calls: AwsCall[] = []
    const url = await start({
      onRequest: (call) => {
        calls.push(call)
        if (calls.length === 1) throw new AwsError('ThrottlingException', 'Rate exceeded')
      },
    })
    await expect(runTask(url)).rejects.toMatchObject({ name: 'ThrottlingException' })
    await runTask(url)
    expect(calls.map((call) => [call.service, call.operation, call.accessKeyId])).toEqual([
      ['ecs', 'RunTask', 'AKIALOCAL7'],
      ['ecs', 'RunTask', 'AKIALOCAL7'],
    ])
  })

  it.each([
    ['lose-request', 0],
    ['lose-answer', 1],
  ] as const)('%s resets the connection', async (disturbance, effects) => {
    let ran = 0
    const service = {
      name: 'ecs',
      target: 'AmazonEC2ContainerServiceV20141113',
      version: '1.1' as const,
      operations: { RunTask: () => void ran++ },
    }
    const url = await start({ services: [service], onRequest: () => disturbance })
    await expect(runTask(url)).rejects.toThrow(/ECONNRESET|socket hang up/)
    expect(ran).toBe(effects)
  })

  it('refuses what it does not know, what is not JSON and what is too large', async () => {
    const url = await start({ maxBodyBytes: 100 })
    const post = async (target: string, body: string) => {
      const response = await fetch(url, { method: 'POST', headers: { 'x-amz-target': target }, body })
      return [response.status, ((await response.json()) as { __type: string }).__type]
    }
    expect(await post('AmazonEC2ContainerServiceV20141113.constructor', '{}')).toEqual([
      400,
      'UnknownOperationException',
    ])
    expect(await post('AmazonEC2ContainerServiceV20141113.RunTask', '[')).toEqual([400, 'SerializationException'])
    expect(await post('AmazonEC2ContainerServiceV20141113.RunTask', '[]')).toEqual([400, 'SerializationException'])
    expect(await post('AmazonEC2ContainerServiceV20141113.RunTask', `{"a":"${'x'.repeat(200)}"}`)).toEqual([
      413,
      'RequestEntityTooLargeException',
    ])
  })
})
