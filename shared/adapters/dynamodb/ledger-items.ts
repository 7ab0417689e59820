/** Ledger entries as items, and the head of a ledger: shared by the store of records and the store of the ledger. */
import { type DynamoDBDocumentClient, QueryCommand } from '@aws-sdk/lib-dynamodb'
import { LEDGER_TTL_DAYS } from '../../contracts/limits.ts'
import { CorruptRecord } from '../../domain/errors.ts'
import { isTold, type LedgerEntry, LedgerEntrySchema } from '../../domain/ledger/schema.ts'
import { ledgerKey, ledgerPartition, outboxShardKey, outboxShardOf } from './environment-keys.ts'

export const epochSeconds = (date: Date): number => Math.floor(date.getTime() / 1000)

export function toLedgerItem(entry: LedgerEntry): Record<string, unknown> {
  return {
    ...ledgerKey(entry.teamId, entry.sequence),
    ...entry,
    ...(isTold(entry) ? { outboxKey: outboxShardKey(outboxShardOf(entry.teamId)), outboxAt: entry.at } : {}),
    expiresAt: epochSeconds(new Date(entry.at)) + LEDGER_TTL_DAYS * 86_400,
  }
}

export function fromLedgerItem(item: Record<string, unknown>): LedgerEntry {
  const parsed = LedgerEntrySchema.safeParse(item)
  if (parsed.success) return parsed.data
  throw new CorruptRecord(`ledger entry ${String(item.pk)}/${String(item.sk)}: ${parsed.error.message}`)
}

/** Strongly consistent: an append that has been answered is seen. */
export async function ledgerHead(client: DynamoDBDocumentClient, table: string, teamId: string): Promise<number> {
  const { Items } = await client.send(
    new QueryCommand({
      TableName: table,
      KeyConditionExpression: 'pk = :pk',
      ExpressionAttributeValues: { ':pk': ledgerPartition(teamId) },
      ProjectionExpression: 'sk',
      ScanIndexForward: false,
      Limit: 1,
      ConsistentRead: true,
    }),
  )
  return Number(Items?.[0]?.sk ?? 0)
}
