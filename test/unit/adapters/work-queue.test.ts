import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
import { mockClient } from 'aws-sdk-client-mock'
import { afterEach, describe, expect, it } from 'vitest'
import { createWorkQueue } from '../../../shared/adapters/sqs/work-queue.ts'
import type { Work } from '../../../shared/contracts/work.ts'

const url = 'https://sqs.eu-central-1.amazonaws.com/123456789012/work'
const client = new SQSClient({ region: 'eu-central-1' })
const sqs = mockClient(client)
afterEach(() => sqs.reset())
const work: Work = { kind: 'stop-environment', teamId: 't', environmentId: 'e', generation: 1, correlationId: 'c' }

describe('createWorkQueue', () => {
  it.each([
    [undefined, 0],
    [0.2, 1],
    [-5, 0],
    [899.5, 900],
    [100_000, 900],
  ])('sends with a delay of %s as %s seconds', async (given, sent) => {
    sqs.on(SendMessageCommand).resolves({ MessageId: 'm' })
    await createWorkQueue(url, client).send(work, given)
    const [call] = sqs.commandCalls(SendMessageCommand)
    const { MessageBody, ...rest } = call?.args[0].input ?? {}
    expect(rest).toEqual({ QueueUrl: url, DelaySeconds: sent })
    expect(JSON.parse(MessageBody ?? '')).toEqual(work)
  })

  it('refuses a message that its consumer could not read', async () => {
    const broken = { ...work, generation: 0 }
    await expect(createWorkQueue(url, client).send(broken)).rejects.toThrow('generation')
    expect(sqs.commandCalls(SendMessageCommand)).toHaveLength(0)
  })

  it('throws when the queue does not take it', async () => {
    sqs.on(SendMessageCommand).rejects(new Error('throttled'))
    await expect(createWorkQueue(url, client).send(work)).rejects.toThrow('throttled')
  })
})
