import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { eventHandler, queueHandler, scheduleHandler, UnreadableEvent } from '../../../shared/runtime/async-handlers.ts'
import { logger } from '../../../shared/runtime/logger.ts'
import { capturedLogs, lambdaContext } from './support.ts'

const logs = capturedLogs()
const Schema = z.object({ taskArn: z.string(), version: z.number(), correlationId: z.string().optional() })

/** EventBridge's envelope (EventBridge user guide, "Events"). */
const event = (detail: unknown, overrides: Record<string, unknown> = {}) => ({
  version: '0',
  id: '6a7e8feb-b491-4cf7-a9f1-bf3703467718',
  'detail-type': 'ECS Task State Change',
  source: 'aws.ecs',
  account: '123456789012',
  time: '2025-03-12T19:03:58Z',
  region: 'eu-central-1',
  resources: ['arn:aws:ecs:eu-central-1:123456789012:task/x'],
  detail,
  ...overrides,
})

describe('eventHandler', () => {
  it('hands over the parsed detail and what the event says of itself', async () => {
    const seen: unknown[] = []
    const handler = eventHandler(Schema, async (...args) => {
      seen.push(args)
    })
    await handler(event({ taskArn: 'arn', version: 3, extra: true }), lambdaContext())
    const info = {
      id: '6a7e8feb-b491-4cf7-a9f1-bf3703467718',
      source: 'aws.ecs',
      detailType: 'ECS Task State Change',
      time: '2025-03-12T19:03:58Z',
      resources: ['arn:aws:ecs:eu-central-1:123456789012:task/x'],
      correlationId: '6a7e8feb-b491-4cf7-a9f1-bf3703467718',
    }
    expect(seen).toEqual([[{ taskArn: 'arn', version: 3 }, info]])
  })

  it("logs under the detail's own correlation id", async () => {
    const handler = eventHandler(Schema, async () => logger.info('Working'))
    await handler(event({ taskArn: 'arn', version: 3, correlationId: 'request-7' }), lambdaContext())
    expect(logs.lines().find(({ message }) => message === 'Working')).toMatchObject({ correlationId: 'request-7' })
  })

  it('throws what does not parse, with the field named and no value shown', async () => {
    const handler = eventHandler(Schema, async () => undefined)
    const given = event({ taskArn: { secret: 's3cret' }, version: 3 })
    await expect(handler(given, lambdaContext())).rejects.toThrow(UnreadableEvent)
    await expect(handler(given, lambdaContext())).rejects.toThrow(/taskArn: .*expected string/)
    const line = logs.lines().find(({ level }) => level === 'ERROR')
    expect(line).toMatchObject({ message: 'Function failed', trigger: 'event' })
    expect(logs.text()).not.toContain('s3cret')
  })

  it('throws what is no event at all', async () => {
    await expect(eventHandler(Schema, async () => undefined)({ Records: [] }, lambdaContext())).rejects.toThrow(
      UnreadableEvent,
    )
  })

  it('logs and throws what its handler throws', async () => {
    const handler = eventHandler(Schema, () => Promise.reject(new Error('table is gone')))
    await expect(handler(event({ taskArn: 'a', version: 1 }), lambdaContext())).rejects.toThrow('table is gone')
    expect(logs.lines().find(({ level }) => level === 'ERROR')).toMatchObject({ error: { message: 'table is gone' } })
  })

  it('fails by itself shortly before the platform would end it', async () => {
    const handler = eventHandler(Schema, () => new Promise<never>(() => undefined))
    const context = lambdaContext({ getRemainingTimeInMillis: () => 320 })
    await expect(handler(event({ taskArn: 'a', version: 1 }), context)).rejects.toThrow('aborted')
  })
})

describe('queueHandler', () => {
  const record = (messageId: string, body: unknown, receives = '1') => ({
    messageId,
    receiptHandle: 'handle',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    attributes: { ApproximateReceiveCount: receives, SentTimestamp: '1', SenderId: 's' },
    eventSource: 'aws:sqs',
    eventSourceARN: 'arn:aws:sqs:eu-central-1:123456789012:work',
  })

  it('answers exactly the records that failed, whatever the reason', async () => {
    const done: string[] = []
    const handler = queueHandler(Schema, async ({ taskArn }) => {
      if (taskArn === 'throws') throw new Error('throttled')
      done.push(taskArn)
    })
    const Records = [
      record('m1', { taskArn: 'a', version: 1 }),
      record('m2', { taskArn: 'throws', version: 1 }),
      record('m3', 'not json'),
      record('m4', { taskArn: 'b' }),
      record('m5', { taskArn: 'c', version: 1 }),
    ]
    expect(await handler({ Records }, lambdaContext())).toEqual({
      batchItemFailures: [{ itemIdentifier: 'm2' }, { itemIdentifier: 'm3' }, { itemIdentifier: 'm4' }],
    })
    expect(done.sort()).toEqual(['a', 'c'])
    const failures = logs.lines().filter(({ message }) => message === 'Message failed')
    expect(failures.map(({ messageId }) => messageId).sort()).toEqual(['m2', 'm3', 'm4'])
    expect(logs.text()).toContain('version: Invalid input')
    expect(logs.text()).not.toContain('not json')
  })

  it('logs each record under its own correlation id, also side by side', async () => {
    const both = Promise.withResolvers<void>()
    const handler = queueHandler(Schema, async ({ taskArn }) => {
      if (taskArn === 'slow') await both.promise
      logger.info('Working')
      both.resolve()
    })
    const Records = [
      record('m1', { taskArn: 'slow', version: 1, correlationId: 'c1' }, '3'),
      record('m2', { taskArn: 'fast', version: 1 }),
    ]
    await handler({ Records }, lambdaContext())
    const working = logs.lines().filter(({ message }) => message === 'Working')
    expect(working.map(({ correlationId, receiveCount }) => [correlationId, receiveCount])).toEqual([
      ['m2', 1],
      ['c1', 3],
    ])
  })

  it('throws what is no batch, so that nothing counts as done', async () => {
    await expect(queueHandler(Schema, async () => undefined)({}, lambdaContext())).rejects.toThrow(UnreadableEvent)
  })
})

describe('scheduleHandler', () => {
  it('gives the time left and logs under the invocation', async () => {
    const handler = scheduleHandler(async ({ remainingMs, correlationId }) => {
      logger.info('Working', { left: remainingMs(), given: correlationId })
    })
    await handler({}, lambdaContext())
    expect(logs.lines().find(({ message }) => message === 'Working')).toMatchObject({
      left: 10_000,
      given: 'lambda-request-1',
      correlationId: 'lambda-request-1',
    })
  })

  it('throws what its handler throws', async () => {
    const handler = scheduleHandler(() => Promise.reject(new Error('no tables')))
    await expect(handler({}, lambdaContext())).rejects.toThrow('no tables')
  })
})
