import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  ChangeMessageVisibilityCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  PurgeQueueCommand,
  ReceiveMessageCommand,
  type ReceiveMessageCommandInput,
  SendMessageBatchCommand,
  SendMessageCommand,
  type SendMessageCommandInput,
} from '@aws-sdk/client-sqs'
import { expect, test } from 'vitest'
import { md5OfAttributes } from '../../../../local/sqs/message-attributes.ts'
import { arnOf, folder, queue, startSqs } from './support.ts'

type Started = Awaited<ReturnType<typeof startSqs>>

const send = ({ client, urlOf }: Started, name: string, input: Partial<SendMessageCommandInput> = {}) =>
  client.send(new SendMessageCommand({ QueueUrl: urlOf(name), MessageBody: 'body', ...input }))

const receive = async ({ client, urlOf }: Started, name: string, input: Partial<ReceiveMessageCommandInput> = {}) =>
  (await client.send(new ReceiveMessageCommand({ QueueUrl: urlOf(name), ...input }))).Messages ?? []

const bodies = (messages: readonly { Body?: string | undefined }[]) => messages.map(({ Body }) => Body)

test('a message with attributes comes back whole, and is gone when deleted', async () => {
  const started = await startSqs([queue('work')])
  const sent = await send(started, 'work', {
    MessageBody: 'hällo',
    MessageAttributes: {
      team: { DataType: 'String', StringValue: 'one' },
      size: { DataType: 'Number.int', StringValue: '3' },
      raw: { DataType: 'Binary', BinaryValue: Buffer.from([0, 255]) },
    },
  })
  const [message] = await receive(started, 'work', {
    MessageAttributeNames: ['All'],
    MessageSystemAttributeNames: ['All'],
  })
  expect(message).toMatchObject({
    MessageId: sent.MessageId,
    Body: 'hällo',
    MD5OfBody: sent.MD5OfMessageBody,
    MD5OfMessageAttributes: sent.MD5OfMessageAttributes,
    MessageAttributes: { team: { StringValue: 'one' }, size: { StringValue: '3' } },
    Attributes: { ApproximateReceiveCount: '1', SentTimestamp: expect.stringMatching(/^\d{13}$/) },
  })
  expect(Buffer.from(message?.MessageAttributes?.raw?.BinaryValue ?? [])).toEqual(Buffer.from([0, 255]))
  await started.client.send(
    new DeleteMessageCommand({ QueueUrl: started.urlOf('work'), ReceiptHandle: message?.ReceiptHandle }),
  )
  expect(started.sqs.queue('work').counts()).toEqual({ visible: 0, inFlight: 0, delayed: 0 })
})

test('the MD5 of attributes is computed as AWS says', () => {
  // Name, type, kind and value of one attribute, each with its length in front, as the SQS developer guide writes it out.
  expect(md5OfAttributes({ a: { DataType: 'String', StringValue: 'b' } })).toBe(
    md5Of('0000000161 00000006537472696e67 01 0000000162'),
  )
})

function md5Of(hex: string): string {
  return createHash('md5')
    .update(Buffer.from(hex.replaceAll(' ', ''), 'hex'))
    .digest('hex')
}

test('a received message is hidden until its visibility timeout has passed, then counted again', async () => {
  const started = await startSqs([queue('work', { VisibilityTimeout: 1 })])
  await send(started, 'work')
  expect(await receive(started, 'work')).toHaveLength(1)
  expect(await receive(started, 'work')).toHaveLength(0)
  expect(started.sqs.queue('work').counts()).toEqual({ visible: 0, inFlight: 1, delayed: 0 })
  const [again] = await receive(started, 'work', { WaitTimeSeconds: 5, MessageSystemAttributeNames: ['All'] })
  expect(again?.Attributes?.ApproximateReceiveCount).toBe('2')
})

test('ChangeMessageVisibility to 0 gives it out at once; an out-of-date handle deletes nothing', async () => {
  const started = await startSqs([queue('work')])
  await send(started, 'work')
  const [first] = await receive(started, 'work')
  const QueueUrl = started.urlOf('work')
  await started.client.send(
    new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle: first?.ReceiptHandle, VisibilityTimeout: 0 }),
  )
  const [second] = await receive(started, 'work')
  expect(second?.MessageId).toBe(first?.MessageId)
  await started.client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: first?.ReceiptHandle }))
  expect(started.sqs.queue('work').counts().inFlight).toBe(1)
  await started.client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: second?.ReceiptHandle }))
  expect(started.sqs.queue('work').counts().inFlight).toBe(0)
  await expect(
    started.client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: 'nonsense' })),
  ).rejects.toMatchObject({ name: 'ReceiptHandleIsInvalid' })
})

test('a long poll is answered by a message that comes meanwhile, and by nothing when none comes', async () => {
  const started = await startSqs([queue('work')])
  const waiting = receive(started, 'work', { WaitTimeSeconds: 20 })
  await send(started, 'work', { MessageBody: 'late' })
  expect(bodies(await waiting)).toEqual(['late'])
  expect(await receive(started, 'work', { WaitTimeSeconds: 1 })).toEqual([])
})

test('a delayed message comes when its delay has passed', async () => {
  const started = await startSqs([queue('work')])
  const at = Date.now()
  await send(started, 'work', { DelaySeconds: 1 })
  expect(await receive(started, 'work')).toEqual([])
  expect(started.sqs.queue('work').counts()).toEqual({ visible: 0, inFlight: 0, delayed: 1 })
  expect(await receive(started, 'work', { WaitTimeSeconds: 10 })).toHaveLength(1)
  expect(Date.now() - at).toBeGreaterThanOrEqual(999)
})

test('a message that was received too often goes to the dead-letter queue with its source', async () => {
  const started = await startSqs([
    queue('work', { VisibilityTimeout: 0, RedrivePolicy: { deadLetterTargetArn: arnOf('dead'), maxReceiveCount: 2 } }),
    queue('dead'),
  ])
  const { MessageId } = await send(started, 'work')
  expect(await receive(started, 'work')).toHaveLength(1)
  expect(await receive(started, 'work')).toHaveLength(1)
  expect(await receive(started, 'work')).toHaveLength(0)
  const [dead] = await receive(started, 'dead', { MessageSystemAttributeNames: ['All'] })
  expect(dead).toMatchObject({ MessageId, Attributes: { DeadLetterQueueSourceArn: arnOf('work') } })
})

test('a receive gives each message once, however short its visibility timeout, and passes over dead letters', async () => {
  const dead = { RedrivePolicy: { deadLetterTargetArn: arnOf('dead'), maxReceiveCount: 1 } }
  const started = await startSqs([
    queue('work', { VisibilityTimeout: 0, ...dead }),
    queue('work.fifo', { FifoQueue: true, ContentBasedDeduplication: true, VisibilityTimeout: 0 }),
    queue('dead'),
  ])
  await send(started, 'work', { MessageBody: 'old' })
  await receive(started, 'work')
  for (const MessageBody of ['1', '2']) {
    await send(started, 'work', { MessageBody })
    await send(started, 'work.fifo', { MessageBody, MessageGroupId: 'g' })
  }
  expect(bodies(await receive(started, 'work', { MaxNumberOfMessages: 10 }))).toEqual(['1', '2'])
  expect(bodies(await receive(started, 'work.fifo', { MaxNumberOfMessages: 10 }))).toEqual(['1', '2'])
  expect(started.sqs.queue('dead').counts().visible).toBe(1)
})

test('messages expire after the retention period', async () => {
  const started = await startSqs([queue('work', { MessageRetentionPeriod: 0.05 })])
  await send(started, 'work')
  await expect.poll(() => started.sqs.queue('work').counts().visible).toBe(0)
})

test('a FIFO queue keeps the order within a group, holds a group while one of it is in flight, and drops repeats', async () => {
  const started = await startSqs([queue('work.fifo', { FifoQueue: true, VisibilityTimeout: 30 })])
  const sendFifo = (group: string, body: string, id = body) =>
    send(started, 'work.fifo', { MessageBody: body, MessageGroupId: group, MessageDeduplicationId: id })
  const first = await sendFifo('a', 'a1')
  await sendFifo('a', 'a2')
  await sendFifo('b', 'b1')
  const repeated = await sendFifo('a', 'a1 again', 'a1')
  expect(repeated).toMatchObject({ MessageId: first.MessageId, SequenceNumber: first.SequenceNumber })

  const [a1] = await receive(started, 'work.fifo', { MaxNumberOfMessages: 1 })
  expect(a1?.Body).toBe('a1')
  const rest = await receive(started, 'work.fifo', { MaxNumberOfMessages: 10 })
  expect(bodies(rest)).toEqual(['b1'])
  const waiting = receive(started, 'work.fifo', { WaitTimeSeconds: 10 })
  await started.client.send(
    new DeleteMessageCommand({ QueueUrl: started.urlOf('work.fifo'), ReceiptHandle: a1?.ReceiptHandle }),
  )
  expect(bodies(await waiting)).toEqual(['a2'])
  await expect(send(started, 'work.fifo')).rejects.toMatchObject({ name: 'MissingParameter' })
})

test('a FIFO message that comes back is given out before what follows it', async () => {
  const started = await startSqs([queue('work.fifo', { FifoQueue: true, ContentBasedDeduplication: true })])
  for (const MessageBody of ['1', '2', '3']) await send(started, 'work.fifo', { MessageBody, MessageGroupId: 'g' })
  const taken = await receive(started, 'work.fifo', { MaxNumberOfMessages: 2 })
  expect(bodies(taken)).toEqual(['1', '2'])
  for (const { ReceiptHandle } of [...taken].reverse())
    await started.client.send(
      new ChangeMessageVisibilityCommand({ QueueUrl: started.urlOf('work.fifo'), ReceiptHandle, VisibilityTimeout: 0 }),
    )
  expect(bodies(await receive(started, 'work.fifo', { MaxNumberOfMessages: 10 }))).toEqual(['1', '2', '3'])
})

test('batches succeed and fail by entry', async () => {
  const started = await startSqs([queue('work', { MaximumMessageSize: 1_024 })])
  const QueueUrl = started.urlOf('work')
  const { Successful, Failed } = await started.client.send(
    new SendMessageBatchCommand({
      QueueUrl,
      Entries: [
        { Id: 'good', MessageBody: 'x' },
        { Id: 'long', MessageBody: 'x'.repeat(1_025) },
      ],
    }),
  )
  expect(Successful?.map(({ Id }) => Id)).toEqual(['good'])
  expect(Failed).toMatchObject([{ Id: 'long', SenderFault: true, Code: 'InvalidParameterValue' }])
  const [message] = await receive(started, 'work')
  const deleted = await started.client.send(
    new DeleteMessageBatchCommand({
      QueueUrl,
      Entries: [
        { Id: '1', ReceiptHandle: message?.ReceiptHandle },
        { Id: '2', ReceiptHandle: 'nonsense' },
      ],
    }),
  )
  expect(deleted.Successful).toEqual([{ Id: '1' }])
  expect(deleted.Failed).toMatchObject([{ Id: '2', Code: 'ReceiptHandleIsInvalid' }])
  const twice = [1, 2].map(() => ({ Id: 'same', MessageBody: 'x' }))
  await expect(started.client.send(new SendMessageBatchCommand({ QueueUrl, Entries: twice }))).rejects.toMatchObject({
    name: 'BatchEntryIdsNotDistinct',
  })
  await expect(started.client.send(new SendMessageBatchCommand({ QueueUrl, Entries: [] }))).rejects.toMatchObject({
    name: 'EmptyBatchRequest',
  })
})

test('limits: 1 MiB, 10 attributes, 900 seconds, an unknown queue', async () => {
  const started = await startSqs([queue('work')])
  await send(started, 'work', { MessageBody: 'x'.repeat(1_048_576) })
  await expect(send(started, 'work', { MessageBody: 'x'.repeat(1_048_577) })).rejects.toThrow('shorter than 1048576')
  await expect(send(started, 'work', { DelaySeconds: 901 })).rejects.toThrow('DelaySeconds must be >= 0 and <= 900.')
  await expect(send(started, 'work', { MessageBody: '\u0000' })).rejects.toMatchObject({
    name: 'InvalidMessageContents',
  })
  const attributes = Object.fromEntries(
    Array.from({ length: 11 }, (_, at) => [`a${at}`, { DataType: 'String', StringValue: 'x' }]),
  )
  await expect(send(started, 'work', { MessageAttributes: attributes })).rejects.toThrow(
    'exceeds the allowed maximum [10]',
  )
  await expect(send(started, 'none')).rejects.toMatchObject({ name: 'QueueDoesNotExist' })
})

test('GetQueueUrl, GetQueueAttributes and PurgeQueue', async () => {
  const started = await startSqs([queue('work', { VisibilityTimeout: 45 })])
  const { QueueUrl } = await started.client.send(new GetQueueUrlCommand({ QueueName: 'work' }))
  expect(QueueUrl).toBe(started.urlOf('work'))
  await send(started, 'work')
  const attributes = async () =>
    (await started.client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }))).Attributes
  expect(await attributes()).toMatchObject({
    QueueArn: arnOf('work'),
    ApproximateNumberOfMessages: '1',
    VisibilityTimeout: '45',
    MaximumMessageSize: '1048576',
  })
  await started.client.send(new PurgeQueueCommand({ QueueUrl }))
  expect(await attributes()).toMatchObject({ ApproximateNumberOfMessages: '0' })
})

test('after a restart, waiting, delayed and in-flight messages are where they were, deleted ones are gone', async () => {
  const stateDir = await folder()
  const resources = [queue('work', { VisibilityTimeout: 1 })]
  const before = await startSqs(resources, { stateDir })
  await send(before, 'work', { MessageBody: 'deleted' })
  await send(before, 'work', { MessageBody: 'in flight' })
  const taken = await receive(before, 'work', { MaxNumberOfMessages: 2 })
  const deleted = taken.find(({ Body }) => Body === 'deleted')
  await before.client.send(
    new DeleteMessageCommand({ QueueUrl: before.urlOf('work'), ReceiptHandle: deleted?.ReceiptHandle }),
  )
  await send(before, 'work', { MessageBody: 'waiting' })
  await send(before, 'work', { MessageBody: 'delayed', DelaySeconds: 900 })
  await before.sqs.close()

  const after = await startSqs(resources, { stateDir })
  expect(after.sqs.queue('work').counts()).toMatchObject({ delayed: 1 })
  expect(bodies(await receive(after, 'work'))).toEqual(['waiting'])
  const [back] = await receive(after, 'work', { WaitTimeSeconds: 10, MessageSystemAttributeNames: ['All'] })
  expect(back).toMatchObject({ Body: 'in flight', Attributes: { ApproximateReceiveCount: '2' } })
})

test('a line cut off by a crash is passed over; a broken line elsewhere is told', async () => {
  const stateDir = await folder()
  const before = await startSqs([queue('work')], { stateDir })
  await send(before, 'work', { MessageBody: 'kept' })
  await before.sqs.close()
  const path = join(stateDir, 'sqs.log')
  const good = await readFile(path, 'utf8')
  await writeFile(path, `${good}{"queue":"work","put":{"id"`)
  const after = await startSqs([queue('work')], { stateDir })
  expect(bodies(await receive(after, 'work'))).toEqual(['kept'])
  await after.sqs.close()
  await writeFile(path, `{"broken\n${good}`)
  await expect(startSqs([], { stateDir })).rejects.toThrow(`${path}:1 is not JSON`)
})
