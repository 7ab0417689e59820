import {
  BatchWriteCommand,
  type DynamoDBDocumentClient,
  PutCommand,
  QueryCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb'
import * as z from 'zod'
import { TERMINAL_LOG_TTL_DAYS } from '../../contracts/limits.ts'
import { CorruptRecord } from '../../domain/errors.ts'
import type { TerminalLogStore } from '../../domain/terminal/ports.ts'
import { type Chunk, ChunkSchema } from '../../domain/terminal/schema.ts'
import type { Key } from './environment-keys.ts'
import { isConditionalCheckFailed } from './retry-write.ts'
import { positionSort, terminalPartition } from './terminal-keys.ts'

/** BatchWriteItem takes 25 requests. */
const DELETIONS_PER_CALL = 25
/** Deletions of one trim at most; the next trim goes on. 256 KB of output are hardly ever more chunks. */
const DELETIONS_PER_TRIM = 2_000

function fromItem(item: Record<string, unknown>): Chunk {
  const parsed = ChunkSchema.safeParse(item)
  if (parsed.success) return parsed.data
  throw new CorruptRecord(`terminal chunk ${String(item.pk)}/${String(item.sk)}: ${z.prettifyError(parsed.error)}`)
}

const expiryOf = (writtenAt: number): number => Math.ceil(writtenAt / 1000) + TERMINAL_LOG_TTL_DAYS * 86_400

/** Terminal output, one item a chunk, in the terminal log table. */
export function createTerminalLogStore(client: DynamoDBDocumentClient, table: string): TerminalLogStore {
  return {
    async putIfAbsent(terminal, chunk) {
      const expiresAt = expiryOf(chunk.at)
      const key: Key = { pk: terminalPartition(terminal), sk: positionSort(chunk.position) }
      try {
        // The condition closes the race of two handlers of one output, and of two containers of one record.
        await client.send(
          new PutCommand({
            TableName: table,
            Item: { ...key, ...chunk, expiresAt },
            ConditionExpression: 'attribute_not_exists(pk)',
          }),
        )
        return true
      } catch (error) {
        if (isConditionalCheckFailed(error)) return false
        throw error
      }
    },

    async keep(terminal, position, now) {
      try {
        await client.send(
          new UpdateCommand({
            TableName: table,
            Key: { pk: terminalPartition(terminal), sk: positionSort(position) },
            UpdateExpression: 'SET expiresAt = :expiresAt',
            // A chunk that has expired or was trimmed meanwhile must not come back as a husk.
            ConditionExpression: 'attribute_exists(pk)',
            ExpressionAttributeValues: { ':expiresAt': expiryOf(now) },
          }),
        )
      } catch (error) {
        if (!isConditionalCheckFailed(error)) throw error
      }
    },

    async readFrom(terminal, position, limit) {
      const { Items = [], LastEvaluatedKey } = await client.send(
        new QueryCommand({
          TableName: table,
          KeyConditionExpression: 'pk = :pk AND sk >= :from',
          ExpressionAttributeValues: { ':pk': terminalPartition(terminal), ':from': positionSort(position) },
          ConsistentRead: true,
          Limit: limit,
        }),
      )
      return { chunks: Items.map(fromItem), more: LastEvaluatedKey !== undefined }
    },

    async readNewest(terminal, limit) {
      const { Items = [] } = await client.send(
        new QueryCommand({
          TableName: table,
          KeyConditionExpression: 'pk = :pk',
          ExpressionAttributeValues: { ':pk': terminalPartition(terminal) },
          ConsistentRead: true,
          ScanIndexForward: false,
          Limit: limit,
        }),
      )
      return Items.map(fromItem).reverse()
    },

    async removeBelow(terminal, position) {
      const { Items = [] } = await client.send(
        new QueryCommand({
          TableName: table,
          KeyConditionExpression: 'pk = :pk AND sk < :below',
          ExpressionAttributeValues: { ':pk': terminalPartition(terminal), ':below': positionSort(position) },
          ProjectionExpression: 'pk, sk',
          Limit: DELETIONS_PER_TRIM,
        }),
      )
      const requests = Items.map(({ pk, sk }) => ({ DeleteRequest: { Key: { pk, sk } } }))
      for (let start = 0; start < requests.length; start += DELETIONS_PER_CALL) {
        const page = requests.slice(start, start + DELETIONS_PER_CALL)
        // What DynamoDB leaves unprocessed is found again by the next trim.
        await client.send(new BatchWriteCommand({ RequestItems: { [table]: page } }))
      }
    },
  }
}
