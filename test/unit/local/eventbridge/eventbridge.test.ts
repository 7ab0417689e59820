import { expect, test, vi } from 'vitest'
import type { TemplateRule } from '../../../../local/eventbridge/rules.ts'
import { createFaults } from '../../../../local/faults/faults.ts'
import { ENTRY, FUNCTION, rule, start } from './support.ts'

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
