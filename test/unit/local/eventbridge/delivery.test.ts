import { expect, test } from 'vitest'
import { AwsError } from '../../../../local/common/aws-error.ts'
import { BUS, DEAD, ENTRY, FUNCTION, QUEUE, rule, type Sent, start } from './support.ts'

test('targets: a queue, a FIFO queue, a transformed input, another bus', async () => {
  const { invoked, sent, put } = await start([
    rule({
      EventPattern: { source: ['covibes.agents'] },
      Targets: [
        { Id: '1', Arn: QUEUE, InputPath: '$.detail' },
        { Id: '2', Arn: `${QUEUE}.fifo`, SqsParameters: { MessageGroupId: 'g' }, Input: '{}' },
        { Id: '3', Arn: BUS },
      ],
    }),
    rule({
      EventBusName: BUS,
      EventPattern: { source: ['covibes.agents'] },
      Targets: [
        {
          Id: '1',
          Arn: FUNCTION,
          InputTransformer: { InputPathsMap: { to: '$.detail.to' }, InputTemplate: '"now <to>"' },
        },
      ],
    }),
  ])
  await put({ ...ENTRY, EventBusName: 'default' })
  expect(sent).toEqual([
    [QUEUE, { body: '{"to":"running"}' }],
    [`${QUEUE}.fifo`, { body: '{}', groupId: 'g' }],
  ])
  expect(invoked).toEqual(['now running'])
})

test('a target that is throttled gets the event at another try', async () => {
  let calls = 0
  const { failures, put } = await start(
    [rule({ EventBusName: 'domain', EventPattern: { source: ['covibes.agents'] } })],
    {
      invoke: async () => {
        calls += 1
        if (calls < 4) throw new AwsError('TooManyRequestsException', 'Rate Exceeded.', { statusCode: 429 })
      },
    },
  )
  await put(ENTRY)
  expect(calls).toBe(4)
  expect(failures).toEqual([])
})

test('what cannot be delivered goes to the dead-letter queue with its reasons', async () => {
  const { sent, failures, put } = await start(
    [
      rule({
        EventBusName: 'domain',
        EventPattern: { source: ['covibes.agents'] },
        Targets: [
          {
            Id: '1',
            Arn: FUNCTION,
            RetryPolicy: { MaximumRetryAttempts: 2, MaximumEventAgeInSeconds: 60 },
            DeadLetterConfig: { Arn: DEAD },
          },
        ],
      }),
    ],
    {
      invoke: async () => {
        throw new AwsError('TooManyRequestsException', 'Rate Exceeded.', { statusCode: 429 })
      },
    },
  )
  await put(ENTRY)
  const [[queue, message]] = sent as [Sent]
  expect(queue).toBe(DEAD)
  expect(JSON.parse(message.body)).toMatchObject({ source: 'covibes.agents', detail: { to: 'running' } })
  const values = Object.fromEntries(
    Object.entries(message.attributes ?? {}).map(([name, { StringValue }]) => [name, StringValue]),
  )
  expect(values).toEqual({
    RULE_ARN: 'arn:aws:events:us-east-1:000000000000:rule/domain/worker-rule',
    TARGET_ARN: FUNCTION,
    ERROR_CODE: 'THROTTLING',
    ERROR_MESSAGE: 'Rate Exceeded.',
    EXHAUSTED_RETRY_CONDITION: 'MaximumRetryAttempts',
    RETRY_ATTEMPTS: '2',
  })
  expect(failures).toMatchObject([{ rule: 'worker-rule', attempts: 3 }])
})

test('a target that does not exist is not tried again', async () => {
  let calls = 0
  const { sent, put } = await start(
    [
      rule({
        EventBusName: 'domain',
        EventPattern: { source: ['covibes.agents'] },
        Targets: [{ Id: '1', Arn: FUNCTION, DeadLetterConfig: { Arn: DEAD } }],
      }),
    ],
    {
      invoke: async () => {
        calls += 1
        throw new AwsError('ResourceNotFoundException', 'Function not found', { statusCode: 404 })
      },
    },
  )
  await put(ENTRY)
  expect(calls).toBe(1)
  expect(sent[0]?.[1].attributes).toMatchObject({ ERROR_CODE: { StringValue: 'NO_RESOURCE' } })
  expect(sent[0]?.[1].attributes).not.toHaveProperty('EXHAUSTED_RETRY_CONDITION')
})

test('an event grows too old for further tries', async () => {
  const { sent, put } = await start(
    [
      rule({
        EventBusName: 'domain',
        EventPattern: { source: ['covibes.agents'] },
        Targets: [
          {
            Id: '1',
            Arn: FUNCTION,
            RetryPolicy: { MaximumEventAgeInSeconds: 0.05 },
            DeadLetterConfig: { Arn: DEAD },
          },
        ],
      }),
    ],
    {
      invoke: async () => {
        throw new Error('not now')
      },
      backOff: { firstMs: 10, longestMs: 20 },
    },
  )
  await put(ENTRY)
  expect(sent[0]?.[1].attributes).toMatchObject({
    EXHAUSTED_RETRY_CONDITION: { StringValue: 'MaximumEventAgeInSeconds' },
    ERROR_CODE: { StringValue: 'ERROR_FROM_TARGET' },
    ERROR_MESSAGE: { StringValue: 'not now' },
  })
})

test('closing gives up what waits for another try', async () => {
  const { eventBridge, failures, put } = await start(
    [rule({ EventBusName: 'domain', EventPattern: { source: ['covibes.agents'] } })],
    {
      invoke: async () => {
        void eventBridge.close()
        throw new Error('not now')
      },
      backOff: { firstMs: 3_600_000, longestMs: 3_600_000 },
    },
  )
  await put(ENTRY)
  expect(failures).toMatchObject([{ attempts: expect.any(Number), error: { message: 'not now' } }])
})
