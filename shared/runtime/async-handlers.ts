/**
 * The bundles behind everything that is not HTTP. What cannot be done is thrown (batches answer `batchItemFailures`), so that
 * the platform tries again and at last puts it into the dead letter queue: an error that is only logged is lost work.
 */
import type { SQSBatchResponse } from 'aws-lambda'
import * as z from 'zod'
import { correlationIdFrom, inScope } from './correlation.ts'
import { asyncFunction, errorFields, type LambdaFunction } from './invocation.ts'
import { logger } from './logger.ts'
import { describeIssues } from './validation.ts'

/** An event or message whose content is not what its source promises. Thrown: it belongs into the dead letter queue. */
export class UnreadableEvent extends Error {
  constructor(what: string, problem: string) {
    super(`${what} does not parse: ${problem}`)
    this.name = 'UnreadableEvent'
  }
}

function read<S extends z.ZodType>(schema: S, value: unknown, what: string, root: string): z.infer<S> {
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw new UnreadableEvent(what, describeIssues(parsed.error, root))
  return parsed.data
}

const EventBridgeEventSchema = z.object({
  id: z.string().min(1),
  source: z.string(),
  'detail-type': z.string(),
  time: z.string(),
  resources: z.array(z.string()).default([]),
  detail: z.unknown(),
})

/** What EventBridge says about an event beside its detail. */
export interface EventInfo {
  readonly id: string
  readonly source: string
  readonly detailType: string
  /** ISO 8601, of the source. */
  readonly time: string
  readonly resources: readonly string[]
  /** The detail's own when it has one, else the event's id. */
  readonly correlationId: string
}

const correlationOf = (value: unknown): unknown =>
  typeof value === 'object' && value !== null && 'correlationId' in value ? value.correlationId : undefined

/** For a rule's target. `schema` parses the event's detail. @throws UnreadableEvent, and whatever `handle` throws. */
export function eventHandler<S extends z.ZodType>(
  schema: S,
  handle: (detail: z.infer<S>, event: EventInfo) => Promise<void>,
): LambdaFunction<void> {
  return asyncFunction('event', async (given) => {
    const envelope = read(EventBridgeEventSchema, given, 'EventBridge event', 'event')
    const { id, source, time, resources, 'detail-type': detailType } = envelope
    const correlationId = correlationIdFrom(correlationOf(envelope.detail), id)
    const fields = { eventId: id, source, detailType }
    await inScope({ correlationId, fields }, async () => {
      const detail = read(schema, envelope.detail, `${detailType} event ${id}`, 'detail')
      await handle(detail, { id, source, detailType, time, resources, correlationId })
    })
  })
}

const QueueEventSchema = z.object({
  Records: z.array(
    z.object({
      messageId: z.string().min(1),
      body: z.string(),
      attributes: z.object({ ApproximateReceiveCount: z.coerce.number().int().default(1) }).optional(),
    }),
  ),
})
type QueueRecord = z.infer<typeof QueueEventSchema>['Records'][number]

export interface MessageInfo {
  readonly messageId: string
  /** Deliveries of this message so far, this one included. */
  readonly receiveCount: number
  readonly correlationId: string
}

function jsonOf(record: QueueRecord): unknown {
  try {
    return JSON.parse(record.body)
  } catch {
    // Without the parser's own message, which repeats the body.
    throw new UnreadableEvent(`Message ${record.messageId}`, 'body: must be JSON')
  }
}

/**
 * For a standard queue with `ReportBatchItemFailures`. The records of a batch are handled side by side; each that fails is
 * logged and answered as a failure, so that it alone comes again and at last goes to the dead letter queue.
 */
export function queueHandler<S extends z.ZodType>(
  schema: S,
  handle: (message: z.infer<S>, info: MessageInfo) => Promise<void>,
): LambdaFunction<SQSBatchResponse> {
  const handleRecord = async (record: QueueRecord) => {
    const { messageId } = record
    const receiveCount = record.attributes?.ApproximateReceiveCount ?? 1
    const scope = (correlationId: string) => ({ correlationId, fields: { messageId, receiveCount } })
    return inScope(scope(messageId), async () => {
      const content = jsonOf(record)
      const correlationId = correlationIdFrom(correlationOf(content), messageId)
      await inScope(scope(correlationId), async () => {
        const message = read(schema, content, `Message ${messageId}`, 'body')
        await handle(message, { messageId, receiveCount, correlationId })
      })
    })
  }
  const outcomeOf = async (record: QueueRecord): Promise<{ itemIdentifier: string } | undefined> => {
    try {
      await handleRecord(record)
      return undefined
    } catch (error) {
      logger.error('Message failed', { messageId: record.messageId, ...errorFields(error) })
      return { itemIdentifier: record.messageId }
    }
  }
  return asyncFunction('queue', async (given) => {
    const { Records } = read(QueueEventSchema, given, 'SQS event', 'event')
    const outcomes = await Promise.all(Records.map(outcomeOf))
    return { batchItemFailures: outcomes.filter((failure) => failure !== undefined) }
  })
}

export interface ScheduleInfo {
  readonly correlationId: string
  /** Milliseconds until the platform ends the function: stop taking new pages before. */
  remainingMs(): number
}

/** For a schedule: its payload says nothing, the invocation is the message. @throws whatever `handle` throws. */
export function scheduleHandler(handle: (info: ScheduleInfo) => Promise<void>): LambdaFunction<void> {
  return asyncFunction('schedule', async (_given, context) => {
    const correlationId = context.awsRequestId
    await inScope({ correlationId, fields: {} }, () =>
      handle({ correlationId, remainingMs: () => context.getRemainingTimeInMillis() }),
    )
  })
}
