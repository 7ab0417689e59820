import type { MessageAttributes } from './message-attributes.ts'

/** A message in a queue. Times are epoch milliseconds. */
export interface Message {
  readonly id: string
  readonly body: string
  readonly attributes: MessageAttributes
  readonly traceHeader?: string
  readonly sentAt: number
  readonly senderId: string
  readonly groupId?: string
  readonly deduplicationId?: string
  readonly sequenceNumber?: string
  /** The queue from which it came here as a dead letter. */
  readonly deadLetterSourceArn?: string
  receiveCount: number
  firstReceivedAt?: number
  /** Not given out before this time: delayed, or in flight. */
  hiddenUntil: number
  /** Random part of the receipt handle of the last receive; set while or after it is in flight. */
  receipt?: string
}

/** Whether a message was received and may be in flight: hidden since its last receive. */
export function isInFlight(message: Message, now: number): boolean {
  return message.receipt !== undefined && message.hiddenUntil > now
}
