import { setTimeout } from 'node:timers/promises'
import { REGION } from '../assembly/account.ts'
import { matchesFilter, type RecordFilter } from './filter-criteria.ts'
import { md5, md5OfAttributes } from './message-attributes.ts'
import { systemAttributes } from './operations.ts'
import type { Queue, Received } from './queue.ts'
import type { TemplateResource } from './queue-configuration.ts'

/** What an invocation of a function gives back: a function error, or the function's result. */
export interface InvocationResult {
  readonly functionError: string | undefined
  readonly payload: unknown
}

/** Invokes a function and waits for its result. Rejects when the function could not be invoked, as when throttled. */
export type InvokeFunction = (functionNameOrArn: string, event: unknown) => Promise<InvocationResult>

/** A mapping's settings, from `AWS::Lambda::EventSourceMapping`. */
export interface MappingConfiguration {
  readonly logicalId: string
  readonly queueArn: string
  readonly functionName: string
  readonly batchSize: number
  readonly windowMs: number
  readonly reportsBatchItemFailures: boolean
  readonly maximumConcurrency: number
  readonly filters: readonly RecordFilter[]
}

/** Batches of one mapping that run at once, unless it says. On AWS up to 1,250. */
const DEFAULT_CONCURRENCY = 20
const REST_MS = 1_000

/** Reads `AWS::Lambda::EventSourceMapping` of a queue; undefined when it is disabled or of another source. */
export function mappingConfiguration({ logicalId, properties }: TemplateResource): MappingConfiguration | undefined {
  const queueArn = String(properties.EventSourceArn ?? '')
  if (!queueArn.includes(':sqs:') || String(properties.Enabled ?? true) === 'false') return undefined
  const scaling = properties.ScalingConfig as { MaximumConcurrency?: number } | undefined
  const criteria = properties.FilterCriteria as { Filters?: { Pattern?: string }[] } | undefined
  return {
    logicalId,
    queueArn,
    functionName: String(properties.FunctionName),
    batchSize: Number(properties.BatchSize ?? 10),
    windowMs: Number(properties.MaximumBatchingWindowInSeconds ?? 0) * 1_000,
    reportsBatchItemFailures: ((properties.FunctionResponseTypes as string[] | undefined) ?? []).includes(
      'ReportBatchItemFailures',
    ),
    maximumConcurrency: Number(scaling?.MaximumConcurrency ?? DEFAULT_CONCURRENCY),
    filters: (criteria?.Filters ?? []).map(({ Pattern = '{}' }) => JSON.parse(Pattern) as RecordFilter),
  }
}

/** A record of the event that the function gets. */
export function sqsRecord({ message, receiptHandle }: Received, queueArn: string): Record<string, unknown> {
  const md5OfMessageAttributes = md5OfAttributes(message.attributes)
  return {
    messageId: message.id,
    receiptHandle,
    body: message.body,
    attributes: systemAttributes(message),
    messageAttributes: Object.fromEntries(
      Object.entries(message.attributes).map(([name, { StringValue, BinaryValue, DataType }]) => [
        name,
        {
          ...(StringValue === undefined ? {} : { stringValue: StringValue }),
          ...(BinaryValue === undefined ? {} : { binaryValue: BinaryValue }),
          stringListValues: [],
          binaryListValues: [],
          dataType: DataType,
        },
      ]),
    ),
    ...(md5OfMessageAttributes ? { md5OfMessageAttributes } : {}),
    md5OfBody: md5(message.body),
    eventSource: 'aws:sqs',
    eventSourceARN: queueArn,
    awsRegion: REGION,
  }
}

/** A mapping at work. */
export interface RunningMapping {
  /** Takes no more messages, and waits for the batches under way. */
  close(): Promise<void>
}

/**
 * Carries a queue's messages to a function. A batch that succeeds is deleted; what fails comes back after the queue's
 * visibility timeout. With ReportBatchItemFailures only what the function names comes back; of a FIFO queue, also what
 * follows it.
 */
export function startMapping(
  mapping: MappingConfiguration,
  queue: Queue,
  invoke: InvokeFunction,
  onFailure: (mapping: MappingConfiguration, reason: unknown) => void,
): RunningMapping {
  const stop = new AbortController()
  const { signal } = stop
  const running = new Set<Promise<void>>()

  async function poll(): Promise<void> {
    while (!signal.aborted) {
      // A place first: a message taken without one would wait in flight and use up its visibility timeout.
      while (running.size >= mapping.maximumConcurrency) await Promise.race(running)
      const batch = await gather().catch(rest)
      if (batch.length === 0) continue
      const work = carry(batch)
        .catch((error: unknown) => onFailure(mapping, error))
        .finally(() => running.delete(work))
      running.add(work)
    }
  }

  /** After a queue that cannot be read, as with a full disk. */
  async function rest(error: unknown): Promise<Received[]> {
    onFailure(mapping, error)
    // Cut short when the mapping closes.
    await setTimeout(REST_MS, undefined, { signal }).catch(() => undefined)
    return []
  }

  async function gather(): Promise<Received[]> {
    const batch = await queue.receive(mapping.batchSize, { waitMs: Number.POSITIVE_INFINITY, signal })
    const deadline = Date.now() + mapping.windowMs
    while (batch.length > 0 && batch.length < mapping.batchSize && Date.now() < deadline && !signal.aborted)
      batch.push(...(await queue.receive(mapping.batchSize - batch.length, { waitMs: deadline - Date.now(), signal })))
    return batch
  }

  async function carry(received: readonly Received[]): Promise<void> {
    const batch: { record: Record<string, unknown>; handle: string; id: string }[] = []
    for (const each of received) {
      const record = sqsRecord(each, mapping.queueArn)
      if (matchesFilter(mapping.filters, record))
        batch.push({ record, handle: each.receiptHandle, id: each.message.id })
      // What no filter wants is done with.
      else await queue.delete(each.receiptHandle)
    }
    if (batch.length === 0) return
    const { functionError, payload } = await invoke(mapping.functionName, {
      Records: batch.map(({ record }) => record),
    })
    if (functionError !== undefined) throw new Error(`The function failed: ${JSON.stringify(payload)}`)
    const ids = batch.map(({ id }) => id)
    const failed = mapping.reportsBatchItemFailures
      ? failedItems(payload, ids, queue.configuration.fifo)
      : new Set<string>()
    for (const { id, handle } of batch) if (!failed.has(id)) await queue.delete(handle)
    if (failed.size > 0) onFailure(mapping, new Error(`The function reported ${failed.size} failed items`))
  }

  const polling = poll()
  return {
    async close() {
      stop.abort()
      await polling
      await Promise.all(running)
    },
  }
}

/**
 * The ids of what failed. No list, an empty list or `null` means none; a list with an id that is empty, missing or not in
 * the batch means all. Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
 */
export function failedItems(payload: unknown, ids: readonly string[], fifo: boolean): Set<string> {
  if (payload === null || payload === undefined) return new Set()
  const list = (payload as { batchItemFailures?: unknown }).batchItemFailures
  if (list === undefined || list === null) return new Set()
  if (!Array.isArray(list)) return new Set(ids)
  const failed = new Set<string>()
  for (const item of list as { itemIdentifier?: unknown }[]) {
    const id = item?.itemIdentifier
    if (typeof id !== 'string' || !ids.includes(id)) return new Set(ids)
    failed.add(id)
  }
  const first = ids.findIndex((id) => failed.has(id))
  return fifo && first >= 0 ? new Set(ids.slice(first)) : failed
}
