import { randomUUID } from 'node:crypto'
import { ConditionalCheckFailedException, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
import { DynamoDBDocumentClient, GetCommand, PutCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb'
import * as z from 'zod'
import {
  PreviewDirectoryItemSchema,
  previewKeys,
  previewsTable,
  type WakePreview,
  WakePreviewSchema,
} from '../../../shared/contracts/previews.ts'
import type { PreviewDirectory } from './directory.ts'

/** Three tries of at most 2 s each: a visitor waits for a lookup. The SDK's own defaults wait for ever. */
const CLIENT = {
  maxAttempts: 3,
  requestHandler: { connectionTimeout: 1_000, requestTimeout: 2_000, throwOnRequestTimeout: true },
} as const

/** Of what a refused write found: whose use it was. Low-level form: the document client does not translate exceptions. */
const UsedTicketSchema = z.object({ by: z.object({ S: z.string() }) })

/** Seconds by which the row of a used ticket outlives it: clocks differ a little. */
const TICKET_ROW_GRACE_SECONDS = 3_600

/** The directory in DynamoDB, wake-ups by SQS. Clients and addresses as the SDK finds them (`AWS_ENDPOINT_URL_*`, the task's role). */
export class AwsDirectory implements PreviewDirectory {
  readonly #table: string
  readonly #queueUrl: string
  readonly #dynamo: DynamoDBDocumentClient
  readonly #sqs: SQSClient

  constructor(
    options: { readonly table: string; readonly queueUrl: string },
    dynamo = new DynamoDBClient(CLIENT),
    sqs = new SQSClient(CLIENT),
  ) {
    this.#table = options.table
    this.#queueUrl = options.queueUrl
    this.#dynamo = DynamoDBDocumentClient.from(dynamo)
    this.#sqs = sqs
  }

  /** Consistent: the frontend opens the address right after the control plane has written it. */
  async lookup(label: string) {
    const { Item } = await this.#dynamo.send(
      new GetCommand({ TableName: this.#table, Key: this.#key(previewKeys.label(label)), ConsistentRead: true }),
    )
    if (!Item) return undefined
    const parsed = PreviewDirectoryItemSchema.safeParse(Item)
    if (!parsed.success)
      throw new Error(`The directory's item of ${label} cannot be read: ${z.prettifyError(parsed.error)}`)
    return parsed.data
  }

  /** `by` tells a repeat of one's own write, whose answer was lost, from somebody else's use of the ticket. */
  async redeem(ticketId: string, expiresAt: number): Promise<boolean> {
    const by = randomUUID()
    try {
      await this.#dynamo.send(
        new PutCommand({
          TableName: this.#table,
          Item: {
            ...this.#key(previewKeys.ticket(ticketId)),
            by,
            [previewsTable.ttl]: Math.ceil(expiresAt / 1000) + TICKET_ROW_GRACE_SECONDS,
          },
          ConditionExpression: 'attribute_not_exists(#pk)',
          ExpressionAttributeNames: { '#pk': previewsTable.partitionKey },
          ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
        }),
      )
      return true
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error
      const used = UsedTicketSchema.safeParse(error.Item)
      return used.success && used.data.by.S === by
    }
  }

  /** Conditional: a visit must not bring back an item that the control plane has removed. */
  async visited(label: string): Promise<void> {
    try {
      await this.#dynamo.send(
        new UpdateCommand({
          TableName: this.#table,
          Key: this.#key(previewKeys.label(label)),
          UpdateExpression: 'SET lastVisitAt = :now',
          ConditionExpression: 'attribute_exists(#pk)',
          ExpressionAttributeNames: { '#pk': previewsTable.partitionKey },
          ExpressionAttributeValues: { ':now': Date.now() },
        }),
      )
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error
    }
  }

  async wake(label: string, preview: { readonly teamId: string; readonly environmentId: string }): Promise<void> {
    const work: WakePreview = {
      kind: 'wake-preview',
      label,
      teamId: preview.teamId,
      environmentId: preview.environmentId,
      correlationId: randomUUID(),
    }
    const MessageBody = JSON.stringify(WakePreviewSchema.parse(work))
    await this.#sqs.send(new SendMessageCommand({ QueueUrl: this.#queueUrl, MessageBody }))
  }

  #key(pk: string): Record<string, string> {
    return { [previewsTable.partitionKey]: pk }
  }
}
