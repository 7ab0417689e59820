import { EventBridgeClient, PutEventsCommand, type PutEventsRequestEntry } from '@aws-sdk/client-eventbridge'
import { expect, onTestFinished, test, vi } from 'vitest'
import { AwsError } from '../../../../local/common/aws-error.ts'
import type { DeliveryFailure } from '../../../../local/eventbridge/delivery.ts'
import { createEventBridge, type EventBridgeOptions } from '../../../../local/eventbridge/eventbridge.ts'
import type { TemplateRule } from '../../../../local/eventbridge/rules.ts'
import { createFaults } from '../../../../local/faults/faults.ts'

const FUNCTION = 'arn:aws:lambda:us-east-1:000000000000:function:worker'
const QUEUE = 'arn:aws:sqs:us-east-1:000000000000:work'
const DEAD = 'arn:aws:sqs:us-east-1:000000000000:dead'
const BUS = 'arn:aws:events:us-east-1:000000000000:event-bus/domain'

const bus: TemplateRule = {
  type: 'AWS::Events::EventBus',
  logicalId: 'Bus',
  ref: 'domain',
  properties: { Name: 'domain' },
}

const rule = (properties: Record<string, unknown>): TemplateRule => ({
  type: 'AWS::Events::Rule',
  logicalId: 'Rule',
  ref: 'worker-rule',
  properties: { Name: 'worker-rule', Targets: [{ Id: '0', Arn: FUNCTION }], ...properties },
})

type Sent = Parameters<EventBridgeOptions['send']>

async function start(resources: TemplateRule[], options: Partial<EventBridgeOptions> = {}) {
  const invoked: unknown[] = []
  const sent: Sent[] = []
  const failures: DeliveryFailure[] = []
  const eventBridge = await createEventBridge({
    resources: [bus, ...resources],
    invoke: async (_arn, event) => invoked.push(event),
    send: async (...message) => sent.push(message),
    onFailure: (failure) => failures.push(failure),
    backOff: { firstMs: 1, longestMs: 2 },
    scheduleRate: 0,
    ...options,
  })
  onTestFinished(() => eventBridge.close())
  const client = new EventBridgeClient({
    endpoint: eventBridge.url,
    region: 'us-east-1',
    maxAttempts: 1,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  })
  const put = async (...Entries: PutEventsRequestEntry[]) => {
    const result = await client.send(new PutEventsCommand({ Entries }))
    await eventBridge.idle()
    return result
  }
  return { eventBridge, invoked, sent, failures, put }
}

const ENTRY = { Source: 'covibes.agents', DetailType: 'status', Detail: '{"to":"running"}', EventBusName: 'domain' }

test('an event reaches the function of the rule that matches it, and no other', async () => {
  const { invoked, put } = await start([
    rule({ EventBusName: 'domain', EventPattern: { source: ['covibes.agents'], detail: { to: ['running'] } } }),
    rule({ EventBusName: 'domain', EventPattern: { source: ['other'] } }),
    rule({ EventBusName: 'domain', EventPattern: { source: ['covibes.agents'] }, State: 'DISABLED' }),
    rule({ EventPattern: { source: ['covibes.agents'] } }),
  ])
  const { Entries, FailedEntryCount } = await put({
    ...ENTRY,
    Resources: ['r'],
    Time: new Date('2024-01-10T12:00:00Z'),
  })
  expect(FailedEntryCount).toBe(0)
  expect(invoked).toEqual([
    {
      version: '0',
      id: Entries?.[0]?.EventId,
      'detail-type': 'status',
      source: 'covibes.agents',
      account: '000000000000',
      time: '2024-01-10T12:00:00Z',
      region: 'us-east-1',
      resources: ['r'],
      detail: { to: 'running' },
    },
  ])
})

test('bad entries are refused one by one, and the good ones pass', async () => {
  const { invoked, put } = await start([rule({ EventBusName: 'domain', EventPattern: { source: [{ exists: true }] } })])
  const { FailedEntryCount, Entries } = await put(
    ENTRY,
    { ...ENTRY, Source: undefined },
    { ...ENTRY, DetailType: undefined },
    { ...ENTRY, Detail: undefined },
    { ...ENTRY, Detail: 'no json' },
    { ...ENTRY, Detail: '"text"' },
    { ...ENTRY, Source: 'aws.ecs' },
  )
  expect(FailedEntryCount).toBe(6)
  expect(Entries?.map(({ ErrorCode }) => ErrorCode)).toEqual([
    undefined,
    ...Array(3).fill('InvalidArgument'),
    ...Array(2).fill('MalformedDetail'),
    'NotAuthorizedForSourceException',
  ])
  expect(Entries?.[1]?.ErrorMessage).toBe('Parameter Source is not valid. Reason: Source is a required argument.')
  expect(invoked).toHaveLength(1)
})

test('limits of a call: ten entries, one megabyte', async () => {
  const { put } = await start([])
  await expect(put(...Array.from({ length: 11 }, () => ENTRY))).rejects.toMatchObject({ name: 'ValidationException' })
  await expect(put()).rejects.toMatchObject({ name: 'ValidationException' })
  const half = { ...ENTRY, Detail: JSON.stringify({ x: 'y'.repeat(600_000) }) }
  await expect(put(half)).resolves.toMatchObject({ FailedEntryCount: 0 })
  await expect(put(half, half)).rejects.toMatchObject({ name: 'ValidationException' })
})

test('an event for a bus that does not exist is accepted and dropped, as on AWS, and told', async () => {
  const onUnknownBus = vi.fn()
  const { put } = await start([], { onUnknownBus })
  expect(await put({ ...ENTRY, EventBusName: 'typo' })).toMatchObject({ FailedEntryCount: 0 })
  expect(onUnknownBus).toHaveBeenCalledWith('typo', expect.objectContaining({ source: 'covibes.agents' }))
})

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

test('service events enter on the default bus', async () => {
  const { eventBridge, invoked } = await start([rule({ EventPattern: { source: ['aws.ecs'] } })])
  const event = {
    version: '0',
    id: 'i',
    'detail-type': 'ECS Task State Change',
    source: 'aws.ecs',
    account: '000000000000',
    time: '2024-01-10T12:00:00Z',
    region: 'us-east-1',
    resources: [],
    detail: {},
  }
  eventBridge.putServiceEvent(event)
  await eventBridge.idle()
  expect(invoked).toEqual([event])
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

test('a schedule runs by its clock, and on demand', async () => {
  const scheduled = rule({ ScheduleExpression: 'rate(1 minute)' })
  const { eventBridge, invoked } = await start([scheduled])
  eventBridge.trigger('worker-rule')
  await eventBridge.idle()
  expect(invoked).toEqual([
    {
      version: '0',
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      'detail-type': 'Scheduled Event',
      source: 'aws.events',
      account: '000000000000',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      region: 'us-east-1',
      resources: ['arn:aws:events:us-east-1:000000000000:rule/worker-rule'],
      detail: {},
    },
  ])
  expect(() => eventBridge.trigger('none')).toThrow('No scheduled rule is named none')

  let runs = 0
  await new Promise<void>((resolve, reject) => {
    // A minute of the schedules' clock lasts 20 ms.
    start([scheduled], { scheduleRate: 3_000, invoke: async () => ++runs === 3 && resolve() }).catch(reject)
  })
  expect(runs).toBe(3)
})

test('a schedule of EventBridge Scheduler runs its one target with its input', async () => {
  const schedule = (Target: Record<string, unknown>): TemplateRule => ({
    type: 'AWS::Scheduler::Schedule',
    logicalId: 'Schedule',
    ref: 'nightly',
    properties: {
      Name: 'nightly',
      ScheduleExpression: 'cron(0 3 * * ? *)',
      FlexibleTimeWindow: { Mode: 'OFF' },
      Target,
    },
  })
  const plain = await start([schedule({ Arn: FUNCTION, RoleArn: 'r' })])
  plain.eventBridge.trigger('nightly')
  await plain.eventBridge.idle()
  expect(plain.invoked).toMatchObject([
    { source: 'aws.scheduler', resources: ['arn:aws:scheduler:us-east-1:000000000000:schedule/default/nightly'] },
  ])
  const withInput = await start([schedule({ Arn: FUNCTION, RoleArn: 'r', Input: '{"job":"sweep"}' })])
  withInput.eventBridge.trigger('nightly')
  await withInput.eventBridge.idle()
  expect(withInput.invoked).toEqual([{ job: 'sweep' }])
})

test('a rule that cannot be read is named', async () => {
  await expect(start([rule({ EventPattern: { source: [] } })])).rejects.toThrow(
    'AWS::Events::Rule Rule: Empty arrays are not allowed',
  )
  await expect(start([rule({ EventBusName: 'domain', ScheduleExpression: 'rate(1 minute)' })])).rejects.toThrow(
    'only on the default event bus',
  )
  await expect(start([rule({})])).rejects.toThrow('neither EventPattern nor ScheduleExpression')
})

test('faults act on what comes by PutEvents', async () => {
  const faults = createFaults()
  const { invoked, put } = await start(
    [rule({ EventBusName: 'domain', EventPattern: { source: ['covibes.agents'] } })],
    { faults },
  )
  faults.events.add({ kind: 'lose' }, { times: 1 })
  await put(ENTRY)
  expect(invoked).toHaveLength(0)
  faults.events.add({ kind: 'double' }, { times: 1 })
  await put(ENTRY)
  await expect.poll(() => invoked.length).toBe(2)
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
