import { createHash } from 'node:crypto'
import { refuse } from './errors.ts'
import { type MessageAttributes, messageSize } from './message-attributes.ts'
import type { QueueConfiguration } from './queue-configuration.ts'

/** What is sent. */
export interface NewMessage {
  readonly body: string
  readonly attributes?: MessageAttributes
  readonly traceHeader?: string
  /** Seconds; the queue's own delay when undefined. */
  readonly delaySeconds?: number
  readonly groupId?: string
  readonly deduplicationId?: string
}

const ALLOWED = /^[\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]*$/u
const ALLOWED_TEXT = '#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF'

function invalid(value: unknown, parameter: string, reason: string): never {
  refuse('InvalidParameterValue', `Value ${value} for parameter ${parameter} is invalid. Reason: ${reason}`)
}

/** Throws what SQS answers to a message that the queue does not take. */
export function validateNewMessage(message: NewMessage, queue: QueueConfiguration): void {
  const { body, attributes = {}, delaySeconds = 0, groupId, deduplicationId } = message
  if (body === '') refuse('MissingParameter', 'The request must contain the parameter MessageBody.')
  if (messageSize(body, attributes) > queue.maxBytes)
    refuse(
      'InvalidParameterValue',
      `One or more parameters are invalid. Reason: Message must be shorter than ${queue.maxBytes} bytes.`,
    )
  if (!ALLOWED.test(body))
    refuse(
      'InvalidMessageContents',
      `Invalid binary character was found in the message body, the set of allowed characters is ${ALLOWED_TEXT}`,
    )
  if (!Number.isInteger(delaySeconds) || delaySeconds < 0 || delaySeconds > 900)
    invalid(delaySeconds, 'DelaySeconds', 'DelaySeconds must be >= 0 and <= 900.')
  if (queue.fifo) validateFifo(message, queue)
  else if (deduplicationId !== undefined)
    invalid(
      deduplicationId,
      'MessageDeduplicationId',
      'The request includes a parameter that is not valid for this queue type.',
    )
  for (const [name, value] of Object.entries({ MessageGroupId: groupId, MessageDeduplicationId: deduplicationId }))
    if (value !== undefined && !/^[\x21-\x7e]{1,128}$/.test(value))
      invalid(value, name, `${name} can only include alphanumeric and punctuation characters. 1 to 128 in length.`)
}

function validateFifo({ groupId, deduplicationId, delaySeconds = 0 }: NewMessage, queue: QueueConfiguration): void {
  if (groupId === undefined) refuse('MissingParameter', 'The request must contain the parameter MessageGroupId.')
  if (deduplicationId === undefined && !queue.contentBasedDeduplication)
    refuse(
      'InvalidParameterValue',
      'The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
    )
  if (delaySeconds > 0)
    invalid(delaySeconds, 'DelaySeconds', 'The request include parameter that is not valid for this queue type.')
}

/** The id by which a FIFO queue knows a repeat: its own, or a digest of its body. */
export function deduplicationIdOf({ deduplicationId, body }: NewMessage): string {
  return deduplicationId ?? createHash('sha256').update(body).digest('hex')
}

/** What two messages share of which the queue drops the second; undefined in a standard queue, which drops none. */
export function deduplicationKey(message: NewMessage, queue: QueueConfiguration): string | undefined {
  if (!queue.fifo) return undefined
  const id = deduplicationIdOf(message)
  return queue.deduplicationScope === 'messageGroup' ? `${message.groupId} ${id}` : id
}
