import type { AwsOperation } from '../common/aws-call.ts'
import { AwsError } from '../common/aws-error.ts'
import { refuse } from './errors.ts'
import type { Message } from './message.ts'
import { type MessageAttributes, md5, md5OfAttributes, messageSize, validateAttributes } from './message-attributes.ts'
import type { NewMessage } from './new-message.ts'
import type { Queue, Received } from './queue.ts'
import { MAX_MESSAGE_BYTES } from './queue-configuration.ts'

/** A batch has at most this many entries. Source: SQS message quotas. */
const MAX_BATCH = 10

interface SendInput {
  readonly QueueUrl?: string
  readonly MessageBody?: string
  readonly DelaySeconds?: number
  readonly MessageAttributes?: MessageAttributes
  readonly MessageSystemAttributes?: { readonly AWSTraceHeader?: { readonly StringValue?: string } }
  readonly MessageDeduplicationId?: string
  readonly MessageGroupId?: string
}

interface ReceiveInput {
  readonly QueueUrl?: string
  readonly MaxNumberOfMessages?: number
  readonly VisibilityTimeout?: number
  readonly WaitTimeSeconds?: number
  readonly AttributeNames?: readonly string[]
  readonly MessageSystemAttributeNames?: readonly string[]
  readonly MessageAttributeNames?: readonly string[]
}

function newMessage(input: SendInput): NewMessage {
  if (input.MessageBody === undefined) refuse('MissingParameter', 'The request must contain the parameter MessageBody.')
  validateAttributes(input.MessageAttributes ?? {})
  const traceHeader = input.MessageSystemAttributes?.AWSTraceHeader?.StringValue
  return {
    body: input.MessageBody,
    ...(input.MessageAttributes === undefined ? {} : { attributes: input.MessageAttributes }),
    ...(traceHeader === undefined ? {} : { traceHeader }),
    ...(input.DelaySeconds === undefined ? {} : { delaySeconds: input.DelaySeconds }),
    ...(input.MessageGroupId === undefined ? {} : { groupId: input.MessageGroupId }),
    ...(input.MessageDeduplicationId === undefined ? {} : { deduplicationId: input.MessageDeduplicationId }),
  }
}

/** The digests are of what this call sent, which for a repeat need not be what the queue holds. */
function sentDocument(message: Message, sent: NewMessage): Record<string, unknown> {
  const md5OfMessageAttributes = md5OfAttributes(sent.attributes ?? {})
  return {
    MessageId: message.id,
    MD5OfMessageBody: md5(sent.body),
    ...(md5OfMessageAttributes ? { MD5OfMessageAttributes: md5OfMessageAttributes } : {}),
    ...(message.sequenceNumber ? { SequenceNumber: message.sequenceNumber } : {}),
  }
}

/** A received message's system attributes by their names in SQS; counts and times are texts. */
export function systemAttributes(message: Message): Record<string, string> {
  return {
    ApproximateReceiveCount: String(message.receiveCount),
    ...(message.traceHeader ? { AWSTraceHeader: message.traceHeader } : {}),
    SentTimestamp: String(message.sentAt),
    ...(message.sequenceNumber ? { SequenceNumber: message.sequenceNumber } : {}),
    ...(message.groupId ? { MessageGroupId: message.groupId } : {}),
    SenderId: message.senderId,
    ...(message.deduplicationId ? { MessageDeduplicationId: message.deduplicationId } : {}),
    ApproximateFirstReceiveTimestamp: String(message.firstReceivedAt ?? message.sentAt),
    ...(message.deadLetterSourceArn ? { DeadLetterQueueSourceArn: message.deadLetterSourceArn } : {}),
  }
}

/** Whether `names` (`All`, `.*`, `prefix.*` or a name) asks for this one. */
function asked(name: string, names: readonly string[]): boolean {
  return names.some(
    (each) =>
      each === 'All' || each === '.*' || each === name || (each.endsWith('.*') && name.startsWith(each.slice(0, -2))),
  )
}

function pick<Value>(
  values: Readonly<Record<string, Value>>,
  names: readonly string[],
): Record<string, Value> | undefined {
  const picked = Object.entries(values).filter(([name]) => asked(name, names))
  return picked.length > 0 ? Object.fromEntries(picked) : undefined
}

function receivedDocument({ message, receiptHandle }: Received, input: ReceiveInput): Record<string, unknown> {
  const system = pick(systemAttributes(message), [
    ...(input.AttributeNames ?? []),
    ...(input.MessageSystemAttributeNames ?? []),
  ])
  const own = pick(message.attributes, input.MessageAttributeNames ?? [])
  return {
    MessageId: message.id,
    ReceiptHandle: receiptHandle,
    MD5OfBody: md5(message.body),
    Body: message.body,
    ...(system ? { Attributes: system } : {}),
    ...(own ? { MessageAttributes: own, MD5OfMessageAttributes: md5OfAttributes(own) } : {}),
  }
}

function seconds(value: number | undefined, name: string, max: number): number | undefined {
  if (value === undefined) return undefined
  if (!Number.isInteger(value) || value < 0 || value > max)
    refuse(
      'InvalidParameterValue',
      `Value ${value} for parameter ${name} is invalid. Reason: Must be >= 0 and <= ${max}, if provided.`,
    )
  return value * 1_000
}

function queueAttributes(queue: Queue, names: readonly string[]): Record<string, string> {
  const { configuration } = queue
  const { visible, inFlight, delayed } = queue.counts()
  const all: Record<string, string> = {
    QueueArn: configuration.arn,
    ApproximateNumberOfMessages: String(visible),
    ApproximateNumberOfMessagesNotVisible: String(inFlight),
    ApproximateNumberOfMessagesDelayed: String(delayed),
    VisibilityTimeout: String(configuration.visibilityMs / 1_000),
    DelaySeconds: String(configuration.delayMs / 1_000),
    MessageRetentionPeriod: String(configuration.retentionMs / 1_000),
    ReceiveMessageWaitTimeSeconds: String(configuration.waitMs / 1_000),
    MaximumMessageSize: String(configuration.maxBytes),
    SqsManagedSseEnabled: 'true',
    ...(configuration.redrive
      ? {
          RedrivePolicy: JSON.stringify({
            deadLetterTargetArn: configuration.redrive.arn,
            maxReceiveCount: configuration.redrive.maxReceiveCount,
          }),
        }
      : {}),
    ...(configuration.fifo
      ? { FifoQueue: 'true', ContentBasedDeduplication: String(configuration.contentBasedDeduplication) }
      : {}),
  }
  for (const name of names)
    if (name !== 'All' && !(name in all) && !KNOWN_ATTRIBUTES.has(name))
      refuse('InvalidAttributeName', `Unknown Attribute ${name}.`)
  return names.includes('All') ? all : (pick(all, names) ?? {})
}

/** Attributes that exist but have no value here. */
const KNOWN_ATTRIBUTES = new Set([
  ...['Policy', 'CreatedTimestamp', 'LastModifiedTimestamp', 'RedrivePolicy', 'RedriveAllowPolicy', 'FifoQueue'],
  ...['ContentBasedDeduplication', 'KmsMasterKeyId', 'KmsDataKeyReusePeriodSeconds', 'DeduplicationScope'],
  'FifoThroughputLimit',
])

async function batch<Entry extends { readonly Id?: string }>(
  entries: readonly Entry[] | undefined,
  carryOut: (entry: Entry) => Promise<Record<string, unknown>>,
): Promise<Record<string, unknown>> {
  if (!entries || entries.length === 0)
    refuse(
      'EmptyBatchRequest',
      'There should be at least one entry in the request.',
      'AWS.SimpleQueueService.EmptyBatchRequest',
    )
  if (entries.length > MAX_BATCH)
    refuse(
      'TooManyEntriesInBatchRequest',
      `Maximum number of entries per request are ${MAX_BATCH}. You have sent ${entries.length}.`,
      'AWS.SimpleQueueService.TooManyEntriesInBatchRequest',
    )
  const ids = entries.map(({ Id = '' }) => Id)
  if (ids.some((id) => !/^[A-Za-z0-9_-]{1,80}$/.test(id)))
    refuse(
      'InvalidBatchEntryId',
      'A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.',
      'AWS.SimpleQueueService.InvalidBatchEntryId',
    )
  if (new Set(ids).size < ids.length)
    refuse(
      'BatchEntryIdsNotDistinct',
      `Id ${ids.find((id, at) => ids.indexOf(id) !== at)} repeated.`,
      'AWS.SimpleQueueService.BatchEntryIdsNotDistinct',
    )
  const Successful: unknown[] = []
  const Failed: unknown[] = []
  for (const entry of entries)
    try {
      Successful.push({ Id: entry.Id, ...(await carryOut(entry)) })
    } catch (error) {
      if (!(error instanceof AwsError)) throw error
      Failed.push({ Id: entry.Id, SenderFault: true, Code: error.code, Message: error.message })
    }
  return { Successful, Failed }
}

/** The operations of Amazon SQS that this runtime carries out. `queueOf` throws QueueDoesNotExist. */
export function sqsOperations(deps: {
  readonly queueOf: (queueUrl: string | undefined) => Queue
  readonly queueNamed: (name: string | undefined) => Queue
  readonly urlOf: (name: string) => string
}): Record<string, AwsOperation> {
  const { queueOf } = deps

  async function send(queue: Queue, input: SendInput): Promise<Record<string, unknown>> {
    const message = newMessage(input)
    return sentDocument(await queue.send(message), message)
  }

  async function changeVisibility(
    queue: Queue,
    handle: string | undefined,
    timeout: number | undefined,
  ): Promise<void> {
    const visibilityMs = seconds(timeout, 'VisibilityTimeout', 43_200)
    if (visibilityMs === undefined)
      refuse('MissingParameter', 'The request must contain the parameter VisibilityTimeout.')
    await queue.changeVisibility(handle ?? '', visibilityMs)
  }

  return {
    SendMessage: (input: SendInput) => send(queueOf(input.QueueUrl), input),
    SendMessageBatch(input: { QueueUrl?: string; Entries?: (SendInput & { Id?: string })[] }) {
      const queue = queueOf(input.QueueUrl)
      const total = (input.Entries ?? []).reduce(
        (sum, { MessageBody = '', MessageAttributes = {} }) => sum + messageSize(MessageBody, MessageAttributes),
        0,
      )
      if (total > MAX_MESSAGE_BYTES)
        refuse(
          'BatchRequestTooLong',
          `Batch requests cannot be longer than ${MAX_MESSAGE_BYTES} bytes. You have sent ${total} bytes.`,
          'AWS.SimpleQueueService.BatchRequestTooLong',
        )
      return batch(input.Entries, (entry) => send(queue, entry))
    },
    async ReceiveMessage(input: ReceiveInput) {
      const count = input.MaxNumberOfMessages ?? 1
      if (!Number.isInteger(count) || count < 1 || count > MAX_BATCH)
        refuse(
          'InvalidParameterValue',
          `Value ${count} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.`,
        )
      const visibilityMs = seconds(input.VisibilityTimeout, 'VisibilityTimeout', 43_200)
      const waitMs = seconds(input.WaitTimeSeconds, 'WaitTimeSeconds', 20)
      const received = await queueOf(input.QueueUrl).receive(count, {
        ...(visibilityMs === undefined ? {} : { visibilityMs }),
        ...(waitMs === undefined ? {} : { waitMs }),
      })
      // Without messages SQS leaves the member out.
      return received.length === 0 ? {} : { Messages: received.map((each) => receivedDocument(each, input)) }
    },
    async DeleteMessage(input: { QueueUrl?: string; ReceiptHandle?: string }) {
      await queueOf(input.QueueUrl).delete(input.ReceiptHandle ?? '')
      return {}
    },
    DeleteMessageBatch(input: { QueueUrl?: string; Entries?: { Id?: string; ReceiptHandle?: string }[] }) {
      const queue = queueOf(input.QueueUrl)
      return batch(input.Entries, async ({ ReceiptHandle = '' }) => {
        await queue.delete(ReceiptHandle)
        return {}
      })
    },
    async ChangeMessageVisibility(input: { QueueUrl?: string; ReceiptHandle?: string; VisibilityTimeout?: number }) {
      await changeVisibility(queueOf(input.QueueUrl), input.ReceiptHandle, input.VisibilityTimeout)
      return {}
    },
    ChangeMessageVisibilityBatch(input: {
      QueueUrl?: string
      Entries?: { Id?: string; ReceiptHandle?: string; VisibilityTimeout?: number }[]
    }) {
      const queue = queueOf(input.QueueUrl)
      return batch(input.Entries, async ({ ReceiptHandle, VisibilityTimeout }) => {
        await changeVisibility(queue, ReceiptHandle, VisibilityTimeout)
        return {}
      })
    },
    GetQueueAttributes(input: { QueueUrl?: string; AttributeNames?: string[] }) {
      return { Attributes: queueAttributes(queueOf(input.QueueUrl), input.AttributeNames ?? []) }
    },
    GetQueueUrl: (input: { QueueName?: string }) => ({
      QueueUrl: deps.urlOf(deps.queueNamed(input.QueueName).configuration.name),
    }),
    async PurgeQueue(input: { QueueUrl?: string }) {
      await queueOf(input.QueueUrl).purge()
      return {}
    },
  }
}
