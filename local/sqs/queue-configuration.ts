import { ACCOUNT_ID, arn } from '../assembly/account.ts'
import type { Resource } from '../assembly/cloud-assembly.ts'

/** A resource of the template, as far as this part reads it. */
export type TemplateResource = Pick<Resource, 'type' | 'logicalId' | 'ref' | 'arn' | 'properties'>

/** A queue's settings, from `AWS::SQS::Queue`. Times are milliseconds. */
export interface QueueConfiguration {
  readonly name: string
  readonly arn: string
  readonly fifo: boolean
  readonly contentBasedDeduplication: boolean
  readonly deduplicationScope: 'queue' | 'messageGroup'
  readonly visibilityMs: number
  readonly delayMs: number
  readonly retentionMs: number
  /** How long a receive waits that does not say. */
  readonly waitMs: number
  /** Bytes of body and attributes. */
  readonly maxBytes: number
  readonly redrive: { readonly arn: string; readonly maxReceiveCount: number } | undefined
}

/** SQS's largest message and largest batch. Source: the API reference of SendMessage and SendMessageBatch (1 MiB). */
export const MAX_MESSAGE_BYTES = 1_048_576

/** Reads `AWS::SQS::Queue`. Defaults are SQS's own. */
export function queueConfiguration({ properties, arn: resourceArn, ref }: TemplateResource): QueueConfiguration {
  const name = (properties.QueueName as string | undefined) ?? (resourceArn || ref).split(/[:/]/).at(-1) ?? ''
  const seconds = (property: string, standard: number) => Number(properties[property] ?? standard) * 1_000
  return {
    name,
    arn: arn('sqs', name),
    fifo: properties.FifoQueue === true || properties.FifoQueue === 'true',
    contentBasedDeduplication: String(properties.ContentBasedDeduplication) === 'true',
    deduplicationScope: properties.DeduplicationScope === 'messageGroup' ? 'messageGroup' : 'queue',
    visibilityMs: seconds('VisibilityTimeout', 30),
    delayMs: seconds('DelaySeconds', 0),
    retentionMs: seconds('MessageRetentionPeriod', 345_600),
    waitMs: seconds('ReceiveMessageWaitTimeSeconds', 0),
    maxBytes: Number(properties.MaximumMessageSize ?? MAX_MESSAGE_BYTES),
    redrive: redriveOf(properties.RedrivePolicy),
  }
}

function redriveOf(policy: unknown): QueueConfiguration['redrive'] {
  const parsed = (typeof policy === 'string' ? JSON.parse(policy) : policy) as
    | { deadLetterTargetArn?: string; maxReceiveCount?: number | string }
    | undefined
  if (!parsed?.deadLetterTargetArn) return undefined
  return { arn: parsed.deadLetterTargetArn, maxReceiveCount: Number(parsed.maxReceiveCount ?? 10) }
}

/** The path under which a queue's URL names it. */
export function queuePath(name: string): string {
  return `/${ACCOUNT_ID}/${name}`
}
