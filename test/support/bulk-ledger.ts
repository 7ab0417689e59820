/** Ledger entries by the hundred: what a function commits one by one, without its invocation. */
import { TransactWriteCommand } from '@aws-sdk/lib-dynamodb'
import { ledgerHead, toLedgerItem } from '../../shared/adapters/dynamodb/ledger-items.ts'
import type { NewLedgerEntry } from '../../shared/domain/ledger/schema.ts'
import type { Product } from './product.ts'

/** DynamoDB's limit of items in a transaction. */
const PER_TRANSACTION = 100

/**
 * Appends entries of one team behind its ledger's head, in order. They are not in the outbox: whoever commits the next entry
 * tells of them, too. Rejects when somebody else appends at the same time.
 */
export async function appendInBulk({ runtime, tables }: Product, entries: readonly NewLedgerEntry[]): Promise<void> {
  const table = runtime.functionOf('spawn-agent').environment.ENVIRONMENTS_TABLE
  const [first] = entries
  if (table === undefined) throw new Error('The template names no table of environments')
  if (!first) return
  let sequence = await ledgerHead(tables, table, first.teamId)
  for (let from = 0; from < entries.length; from += PER_TRANSACTION) {
    const items = entries.slice(from, from + PER_TRANSACTION).map((entry) => {
      const { outboxKey: _key, outboxAt: _at, ...item } = toLedgerItem({ ...entry, sequence: ++sequence })
      return { Put: { TableName: table, Item: item, ConditionExpression: 'attribute_not_exists(pk)' } }
    })
    await tables.send(new TransactWriteCommand({ TransactItems: items }))
  }
}
