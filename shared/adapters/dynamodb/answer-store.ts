import { type DynamoDBDocumentClient, GetCommand, PutCommand, QueryCommand } from '@aws-sdk/lib-dynamodb'
import * as z from 'zod'
import { AnswerPartSchema } from '../../contracts/link.ts'
import { CorruptRecord } from '../../domain/errors.ts'
import { ANSWER_TTL_MS, type AnswerStore } from '../../domain/files/answers.ts'
import type { AnswerPart } from '../../domain/files/parts.ts'
import { ANSWER_PART_PREFIX, answerPartition, answerPartKey, answerRequestKey } from './session-keys.ts'

const RequestSchema = z.object({ expiresAt: z.number() })

const expiry = (now: Date): number => Math.ceil((now.getTime() + ANSWER_TTL_MS) / 1000)

function partOf(item: Record<string, unknown>): AnswerPart {
  const parsed = AnswerPartSchema.safeParse(item)
  if (parsed.success) return parsed.data
  throw new CorruptRecord(`answer ${String(item.pk)}/${String(item.sk)}: ${z.prettifyError(parsed.error)}`)
}

/** Requests to containers and the parts of their answers, in the connections table. */
export function createAnswerStore(client: DynamoDBDocumentClient, table: string): AnswerStore {
  return {
    async expect(ref, requestId, now) {
      // Unconditional: the id is new, and a repeat by the SDK says the same.
      const Item = { ...answerRequestKey(ref, requestId), expiresAt: expiry(now) }
      await client.send(new PutCommand({ TableName: table, Item }))
    },

    async put(ref, part, now) {
      const Key = answerRequestKey(ref, part.id)
      const { Item } = await client.send(new GetCommand({ TableName: table, Key, ConsistentRead: true }))
      // DynamoDB deletes what has expired up to days late.
      const request = RequestSchema.safeParse(Item)
      if (!request.success || request.data.expiresAt * 1000 <= now.getTime()) return 'unknown'
      // Unconditional: a part that comes twice says the same.
      await client.send(
        new PutCommand({
          TableName: table,
          Item: { ...answerPartKey(ref, part), ...part, expiresAt: expiry(now) },
        }),
      )
      return 'kept'
    },

    async read(ref, requestId) {
      const Key = answerPartKey(ref, { id: requestId, part: 0 })
      const { Item } = await client.send(new GetCommand({ TableName: table, Key, ConsistentRead: true }))
      if (!Item) return []
      const first = partOf(Item)
      if (first.parts === 1) return [first]
      const parts: AnswerPart[] = []
      let last: Record<string, unknown> | undefined
      do {
        const page = await client.send(
          new QueryCommand({
            TableName: table,
            KeyConditionExpression: 'pk = :pk AND begins_with(sk, :part)',
            ExpressionAttributeValues: { ':pk': answerPartition(ref, requestId), ':part': ANSWER_PART_PREFIX },
            ConsistentRead: true,
            ...(last ? { ExclusiveStartKey: last } : {}),
          }),
        )
        parts.push(...(page.Items ?? []).map(partOf))
        last = page.LastEvaluatedKey
      } while (last)
      return parts
    },
  }
}
