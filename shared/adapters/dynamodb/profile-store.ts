/**
 * Cached profiles, in the connections table.
 *
 * | access pattern | how |
 * |---|---|
 * | a member's profile | GetItem `PROFILE#<userId>` / `PROFILE` |
 *
 * `expiresAt` (epoch seconds) is the table's TTL.
 */
import { type DynamoDBDocumentClient, GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb'
import { tables } from '../../contracts/tables.ts'
import type { ProfileCache } from '../../domain/profiles/ports.ts'
import { CachedProfileSchema } from '../../domain/profiles/schema.ts'
import { documentClient } from './document-client.ts'

const { partitionKey, sortKey, ttl } = tables.connections
const keyOf = (userId: string) => ({ [partitionKey]: `PROFILE#${userId}`, [sortKey]: 'PROFILE' })

export function createProfileStore(table: string, client: DynamoDBDocumentClient = documentClient()): ProfileCache {
  return {
    async get(userId) {
      const { Item } = await client.send(new GetCommand({ TableName: table, Key: keyOf(userId) }))
      // One that does not parse was written by another version; it is fetched again, which replaces it.
      return CachedProfileSchema.safeParse(Item).data
    },
    async put(cached, expiresAt) {
      const Item = { ...keyOf(cached.profile.userId), ...cached, [ttl]: Math.floor(expiresAt.getTime() / 1000) }
      // Unconditional: a cache has no wrong order that the next five minutes would not mend.
      await client.send(new PutCommand({ TableName: table, Item }))
    },
  }
}
