import { SendMessageCommand } from '@aws-sdk/client-sqs'
import type { SQSEvent } from 'aws-lambda'
import { expect, test } from 'vitest'
import { failedItems, type InvokeFunction } from '../../../../local/sqs/event-source-mapping.ts'
import { arnOf, mapping, queue, startSqs } from './support.ts'

const ok = { functionError: undefined, payload: null }

/** A function that records its events and answers as told. */
function worker(
  answer: (event: SQSEvent, call: number) => ReturnType<InvokeFunction> | Awaited<ReturnType<InvokeFunction>>,
) {
  const events: SQSEvent[] = []
  let seen = () => {}
  const invoke: InvokeFunction = async (_name, event) => {
    events.push(event as SQSEvent)
    seen()
    return answer(event as SQSEvent, events.length)
  }
  const calls = async (count: number) => {
    while (events.length < count) await new Promise<void>((resolve) => (seen = resolve))
  }
  return { events, invoke, calls }
}

const bodies = (event: SQSEvent | undefined) => event?.Records.map(({ body }) => body)

test('a function gets real SQS records, and what it took is deleted', async () => {
  const { events, invoke, calls } = worker(() => ok)
  const { sqs, client, urlOf } = await startSqs([queue('work'), mapping('work')], { invoke })
  await client.send(
    new SendMessageCommand({
      QueueUrl: urlOf('work'),
      MessageBody: '{"a":1}',
      MessageAttributes: { team: { DataType: 'String', StringValue: 'one' } },
    }),
  )
  await calls(1)
  expect(events[0]?.Records).toEqual([
    {
      messageId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      receiptHandle: expect.any(String),
      body: '{"a":1}',
      attributes: {
        ApproximateReceiveCount: '1',
        SentTimestamp: expect.stringMatching(/^\d+$/),
        SenderId: expect.any(String),
        ApproximateFirstReceiveTimestamp: expect.stringMatching(/^\d+$/),
      },
      messageAttributes: {
        team: { stringValue: 'one', stringListValues: [], binaryListValues: [], dataType: 'String' },
      },
      md5OfMessageAttributes: expect.stringMatching(/^[0-9a-f]{32}$/),
      md5OfBody: expect.stringMatching(/^[0-9a-f]{32}$/),
      eventSource: 'aws:sqs',
      eventSourceARN: arnOf('work'),
      awsRegion: 'us-east-1',
    },
  ])
  await expect.poll(() => sqs.queue('work').counts().inFlight).toBe(0)
})

test('a failed batch comes back after the visibility timeout, and then goes to the dead letters', async () => {
  const failures: string[] = []
  const { events, invoke, calls } = worker(() => ({ functionError: 'Unhandled', payload: { errorMessage: 'no' } }))
  const { sqs, client, urlOf } = await startSqs(
    [
      queue('work', {
        VisibilityTimeout: 0.2,
        RedrivePolicy: { deadLetterTargetArn: arnOf('dead'), maxReceiveCount: 2 },
      }),
      queue('dead'),
      mapping('work'),
    ],
    { invoke, onMappingFailure: (_mapping, reason) => failures.push((reason as Error).message) },
  )
  await client.send(new SendMessageCommand({ QueueUrl: urlOf('work'), MessageBody: 'x' }))
  await calls(2)
  expect(events[1]?.Records[0]?.attributes.ApproximateReceiveCount).toBe('2')
  await expect.poll(() => sqs.queue('dead').counts().visible).toBe(1)
  expect(failures).toEqual(Array(2).fill('The function failed: {"errorMessage":"no"}'))
})

test('with ReportBatchItemFailures only what the function names comes back', async () => {
  const { events, invoke, calls } = worker((event, call) => {
    const bad = event.Records.find(({ body }) => body === 'bad')
    return call === 1 && bad ? { ...ok, payload: { batchItemFailures: [{ itemIdentifier: bad.messageId }] } } : ok
  })
  const { client, urlOf } = await startSqs(
    [
      queue('work', { VisibilityTimeout: 0.2 }),
      mapping('work', {
        BatchSize: 2,
        MaximumBatchingWindowInSeconds: 20,
        FunctionResponseTypes: ['ReportBatchItemFailures'],
      }),
    ],
    { invoke, onMappingFailure: () => {} },
  )
  for (const MessageBody of ['good', 'bad'])
    await client.send(new SendMessageCommand({ QueueUrl: urlOf('work'), MessageBody }))
  await calls(1)
  expect(bodies(events[0])?.sort()).toEqual(['bad', 'good'])
  // The second batch is filled by a new message beside the one that came back.
  await client.send(new SendMessageCommand({ QueueUrl: urlOf('work'), MessageBody: 'next' }))
  await calls(2)
  expect(bodies(events[1])?.sort()).toEqual(['bad', 'next'])
})

test('what Lambda makes of a response', () => {
  const ids = ['1', '2', '3']
  const items = (...names: unknown[]) => ({ batchItemFailures: names.map((itemIdentifier) => ({ itemIdentifier })) })
  for (const none of [null, undefined, {}, items(), { batchItemFailures: null }])
    expect(failedItems(none, ids, false)).toEqual(new Set())
  for (const all of [items(''), items('9'), items(null), { batchItemFailures: [{}] }, { batchItemFailures: 'x' }])
    expect(failedItems(all, ids, false)).toEqual(new Set(ids))
  expect(failedItems(items('2'), ids, false)).toEqual(new Set(['2']))
  expect(failedItems(items('2'), ids, true)).toEqual(new Set(['2', '3']))
})

test('no more batches run at once than the maximum concurrency, and the others wait unreceived', async () => {
  let release = () => {}
  const released = new Promise<void>((resolve) => (release = resolve))
  const { events, invoke, calls } = worker(async () => {
    await released
    return ok
  })
  const { sqs, client, urlOf } = await startSqs(
    [queue('work'), mapping('work', { BatchSize: 1, ScalingConfig: { MaximumConcurrency: 2 } })],
    { invoke },
  )
  for (let at = 0; at < 5; at += 1)
    await client.send(new SendMessageCommand({ QueueUrl: urlOf('work'), MessageBody: String(at) }))
  await calls(2)
  expect(events).toHaveLength(2)
  expect(sqs.queue('work').counts()).toMatchObject({ inFlight: 2, visible: 3 })
  release()
  await calls(5)
  await expect.poll(() => sqs.queue('work').counts()).toEqual({ visible: 0, inFlight: 0, delayed: 0 })
})

test('a filter drops what it does not want', async () => {
  const { events, invoke, calls } = worker(() => ok)
  const { sqs, client, urlOf } = await startSqs(
    [queue('work'), mapping('work', { FilterCriteria: { Filters: [{ Pattern: '{"body":{"kind":["wanted"]}}' }] } })],
    { invoke },
  )
  for (const MessageBody of ['{"kind":"other"}', 'text', '{"kind":"wanted"}'])
    await client.send(new SendMessageCommand({ QueueUrl: urlOf('work'), MessageBody }))
  await calls(1)
  await expect.poll(() => sqs.queue('work').counts()).toEqual({ visible: 0, inFlight: 0, delayed: 0 })
  expect(events.flatMap((event) => bodies(event))).toEqual(['{"kind":"wanted"}'])
})

test('closing waits for the batch under way and leaves the rest', async () => {
  let finished = false
  const { invoke, calls } = worker(async () => {
    await new Promise((resolve) => setImmediate(resolve))
    finished = true
    return ok
  })
  const { sqs, client, urlOf } = await startSqs([queue('work'), mapping('work')], { invoke })
  await client.send(new SendMessageCommand({ QueueUrl: urlOf('work'), MessageBody: 'x' }))
  await calls(1)
  await sqs.close()
  expect(finished).toBe(true)
})
