/**
 * Compare-and-set of a whole item whose answer can be trusted. The SDK repeats a put after a lost answer, and that repetition
 * then meets the condition's failure that its own first try has caused. Each write leaves its id in the item (`writes`, the
 * last few), so a failed condition is looked into: was it somebody else, or was it me?
 */
import { randomBytes } from 'node:crypto'
import { type DynamoDBDocumentClient, GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb'
import * as z from 'zod'
import type { Key } from './environment-keys.ts'
import { isConditionalCheckFailed } from './retry-write.ts'

/** Writes that may pass between a lost answer and its repetition, which the SDK sends within two seconds. */
const REMEMBERED_WRITES = 8

const WrittenSchema = z.object({ writes: z.array(z.string()) })

interface Versioned {
  readonly revision: number
  readonly writes: readonly string[]
}

/** Writes `item` with the next revision if the stored one is still `item.revision` (0: there is none). False: it is not. */
export async function rememberedPut(
  client: DynamoDBDocumentClient,
  table: string,
  key: Key,
  item: Versioned & Record<string, unknown>,
): Promise<boolean> {
  const writeId = randomBytes(6).toString('base64url')
  const writes = [...item.writes.slice(1 - REMEMBERED_WRITES), writeId]
  const isUnchanged = item.revision === 0 ? 'attribute_not_exists(pk)' : 'revision = :revision'
  try {
    await client.send(
      new PutCommand({
        TableName: table,
        Item: { ...item, ...key, revision: item.revision + 1, writes },
        ConditionExpression: isUnchanged,
        ...(item.revision === 0 ? {} : { ExpressionAttributeValues: { ':revision': item.revision } }),
      }),
    )
    return true
  } catch (error) {
    if (!isConditionalCheckFailed(error)) throw error
    const { Item } = await client.send(new GetCommand({ TableName: table, Key: key, ConsistentRead: true }))
    return WrittenSchema.safeParse(Item).data?.writes.includes(writeId) ?? false
  }
}
