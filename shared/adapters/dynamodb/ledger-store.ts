import {
  BatchGetCommand,
  type DynamoDBDocumentClient,
  QueryCommand,
  TransactWriteCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb'
import type { tables } from '../../contracts/tables.ts'
import { Unavailable } from '../../domain/errors.ts'
import type { LedgerReader, LedgerWriter, Outbox } from '../../domain/ledger/ports.ts'
import { isTold, type LedgerEntry } from '../../domain/ledger/schema.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import { type Key, ledgerKey, ledgerPartition, ledgerSort, outboxShardKey } from './environment-keys.ts'
import { fromLedgerItem, ledgerHead, toLedgerItem } from './ledger-items.ts'
import { isConditionalCheckFailed, lostRaces, retryWrite } from './retry-write.ts'

/** Entries read by one sweep page; BatchGetItem takes 100 keys. */
const OUTBOX_PAGE = 100

/** The ledger and its outbox in the environments table. */
export function createLedgerStore(client: DynamoDBDocumentClient, table: string): LedgerReader & LedgerWriter & Outbox {
  return {
    head: (teamId) => ledgerHead(client, table, teamId),

    async readAfter(teamId, sequence, limit) {
      const entries: LedgerEntry[] = []
      let last: Key | undefined
      do {
        const { Items = [], LastEvaluatedKey } = await client.send(
          new QueryCommand({
            TableName: table,
            KeyConditionExpression: 'pk = :pk AND sk > :after',
            ExpressionAttributeValues: { ':pk': ledgerPartition(teamId), ':after': ledgerSort(sequence) },
            Limit: limit - entries.length,
            ConsistentRead: true,
            ...(last ? { ExclusiveStartKey: last } : {}),
          }),
        )
        entries.push(...Items.map(fromLedgerItem))
        // A page ends at 1 MB, too, which fewer entries than `limit` can fill: who gets fewer takes them for all.
        last = LastEvaluatedKey as Key | undefined
      } while (last && entries.length < limit)
      return entries
    },

    append: (entry) =>
      retryWrite(async () => {
        const written: LedgerEntry = { ...entry, sequence: (await ledgerHead(client, table, entry.teamId)) + 1 }
        try {
          // The condition closes the race of two appends that saw the same head: the second looks again. A transaction for the
          // sake of its request token: a put that the SDK repeats after a lost answer would meet itself and append twice.
          const put = { TableName: table, Item: toLedgerItem(written), ConditionExpression: 'attribute_not_exists(pk)' }
          await client.send(new TransactWriteCommand({ TransactItems: [{ Put: put }] }))
          return written
        } catch (error) {
          if (lostRaces(error)) return undefined
          throw error
        }
      }),

    async settle(entries) {
      await Promise.all(
        entries.map(async (entry) => {
          if ('cause' in entry && !isTold(entry as LedgerEntry)) return
          try {
            await client.send(
              new UpdateCommand({
                TableName: table,
                Key: ledgerKey(entry.teamId, entry.sequence),
                UpdateExpression: 'REMOVE outboxKey, outboxAt',
                // An entry that has expired meanwhile must not come back as a husk.
                ConditionExpression: 'attribute_exists(pk)',
              }),
            )
          } catch (error) {
            if (!isConditionalCheckFailed(error)) throw error
          }
        }),
      )
    },

    async pending(shard, before, cursor) {
      const { Items = [], LastEvaluatedKey } = await client.send(
        new QueryCommand({
          TableName: table,
          IndexName: 'outbox' satisfies keyof typeof tables.environments.indexes,
          KeyConditionExpression: 'outboxKey = :shard AND outboxAt < :before',
          ExpressionAttributeValues: { ':shard': outboxShardKey(shard), ':before': before.toISOString() },
          Limit: OUTBOX_PAGE,
          ...(cursor ? { ExclusiveStartKey: decodeCursor(cursor) } : {}),
        }),
      )
      const entries = await readEntries(Items.map(({ pk, sk }) => ({ pk: String(pk), sk: String(sk) })))
      return { entries, ...(LastEvaluatedKey ? { cursor: encodeCursor(LastEvaluatedKey) } : {}) }
    },
  }

  /** The index holds keys only and lags: what has been settled meanwhile is left out. */
  async function readEntries(keys: readonly Key[]): Promise<LedgerEntry[]> {
    let remaining: Record<string, unknown>[] = [...keys]
    const items: Record<string, unknown>[] = []
    for (let round = 0; remaining.length > 0; round++) {
      if (round === 5) throw new Unavailable('the ledger could not be read: DynamoDB left keys unprocessed five times')
      const { Responses, UnprocessedKeys } = await client.send(
        new BatchGetCommand({ RequestItems: { [table]: { Keys: remaining, ConsistentRead: true } } }),
      )
      items.push(...(Responses?.[table] ?? []))
      remaining = UnprocessedKeys?.[table]?.Keys ?? []
    }
    return items
      .filter((item) => item.outboxKey !== undefined)
      .map(fromLedgerItem)
      .sort((a, b) => (a.teamId === b.teamId ? a.sequence - b.sequence : a.teamId < b.teamId ? -1 : 1))
  }
}
