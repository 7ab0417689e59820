/**
 * The existing server's last good answers to `GET /api/auth/me`, in the connections table.
 *
 * | access pattern | how |
 * |---|---|
 * | the answer for a token | GetItem `AUTH_ME#<SHA-256 of the token>` / `AUTH_ME` |
 *
 * The digest finds the answer again for whoever has the token, and gives nobody a token. `expiresAt` (epoch seconds) is the
 * table's TTL.
 */
import { createHash } from 'node:crypto'
import { DeleteCommand, type DynamoDBDocumentClient, GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb'
import * as z from 'zod'
import { tables } from '../../contracts/tables.ts'
import type { AnswerCache } from '../../domain/forwarding/ports.ts'
import { documentClient } from './document-client.ts'

const { partitionKey, sortKey, ttl } = tables.connections
const keyOf = (token: string) => ({
  [partitionKey]: `AUTH_ME#${createHash('sha256').update(token).digest('hex')}`,
  [sortKey]: 'AUTH_ME',
})

const ItemSchema = z.object({ body: z.string(), answeredAt: z.iso.datetime(), [ttl]: z.number() })

export function createAuthAnswerStore(table: string, client: DynamoDBDocumentClient = documentClient()): AnswerCache {
  return {
    async get(token) {
      const { Item } = await client.send(new GetCommand({ TableName: table, Key: keyOf(token) }))
      // One that does not parse was written by another version; the next good answer replaces it.
      const found = ItemSchema.safeParse(Item).data
      return (
        found && { body: found.body, answeredAt: new Date(found.answeredAt), expiresAt: new Date(found[ttl] * 1000) }
      )
    },
    async put(token, { body, answeredAt, expiresAt }) {
      const [at, end] = [answeredAt.toISOString(), Math.floor(expiresAt.getTime() / 1000)]
      // Unconditional: of two good answers for one token either is good.
      await client.send(
        new PutCommand({ TableName: table, Item: { ...keyOf(token), body, answeredAt: at, [ttl]: end } }),
      )
    },
    async drop(token) {
      // Unconditional: the existing server has refused the token, whatever was known before.
      await client.send(new DeleteCommand({ TableName: table, Key: keyOf(token) }))
    },
  }
}
