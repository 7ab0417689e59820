import { SendMessageBatchCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
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
    expect(rest).toEqual({ QueueUrl: url, DelaySeconds: sent, MessageGroupId: 't' })
    expect(JSON.parse(MessageBody ?? '')).toEqual(work)
  })

  it('refuses a message that its consumer could not read', async () => {
    const broken = { ...work, generation: 0 }
    await expect(createWorkQueue(url, client).send(broken)).rejects.toThrow('generation')
    expect(sqs.commandCalls(SendMessageCommand)).toHaveLength(0)
  })

  it('sends many in batches of ten, each message once', async () => {
    sqs.on(SendMessageBatchCommand).resolves({})
    const all = Array.from({ length: 23 }, (_, n) => ({ ...work, environmentId: `e${n}` }))
    await createWorkQueue(url, client).sendAll(all, 7)
    const entries = sqs.commandCalls(SendMessageBatchCommand).map(({ args: [{ input }] }) => input.Entries ?? [])
    expect(entries.map(({ length }) => length)).toEqual([10, 10, 3])
    for (const batch of entries) expect(new Set(batch.map(({ Id }) => Id)).size).toBe(batch.length)
    expect(entries.flat().every(({ DelaySeconds }) => DelaySeconds === 7)).toBe(true)
    expect(entries.flat().map(({ MessageBody }) => JSON.parse(MessageBody ?? ''))).toEqual(all)
    await createWorkQueue(url, client).sendAll([])
    expect(sqs.commandCalls(SendMessageBatchCommand)).toHaveLength(3)
  })

  it('says whose a message is, so that the news of one large team hold up nobody’s starts, its own neither', async () => {
    sqs.on(SendMessageBatchCommand).resolves({})
    const news = { kind: 'team', teamId: 't', after: 0 } as const
    await createWorkQueue(url, client).sendAll([
      work,
      { kind: 'tell', news, sessions: { from: 'a', to: 'b' }, again: false },
      { kind: 'deliver', sid: 's', attempt: 0 },
    ])
    const [call] = sqs.commandCalls(SendMessageBatchCommand)
    expect(call?.args[0].input.Entries?.map(({ MessageGroupId }) => MessageGroupId)).toEqual(['t', 't/tell', undefined])
  })

  it('throws when the queue refuses one of many', async () => {
    sqs.on(SendMessageBatchCommand).resolves({ Failed: [{ Id: '1', Code: 'InternalError', SenderFault: false }] })
    await expect(createWorkQueue(url, client).sendAll([work, work])).rejects.toThrow('1 of 2 messages: InternalError')
  })

  it('throws when the queue does not take it', async () => {
    sqs.on(SendMessageCommand).rejects(new Error('throttled'))
    await expect(createWorkQueue(url, client).send(work)).rejects.toThrow('throttled')
  })
})
