import { type Item, runActionSync } from './dynalite.ts'
import { expiryKey, expiryOf } from './indexes.ts'
import { KEYS, type Store } from './store.ts'
import { TOKEN_TTL_MS } from './transactions.ts'

/** Items deleted in one batch. */
const BATCH = 100
/** Tokens forgotten in one sweep; more wait for the next. */
const TOKEN_BATCH = 5_000

/**
 * Deletes expired items, the longest expired first, and the client tokens that no longer count. An item that was given
 * more time since is kept. Returns how many items were deleted.
 */
export async function sweepExpired(store: Store): Promise<number> {
  let deleted = 0
  for (const table of store.tableNames()) {
    let batch: number
    do {
      batch = await sweepTable(store, table)
      deleted += batch
    } while (batch === BATCH)
  }
  await sweepTokens(store)
  return deleted
}

async function sweepTable(store: Store, table: string): Promise<number> {
  const prefix = KEYS.expiries(table)
  const keys: string[] = []
  const before = expiryKey(Date.now() / 1000)
  for await (const [key] of store.entries(prefix, { before, limit: BATCH })) keys.push(key)
  if (keys.length === 0) return 0
  return store.write((stage) => {
    if (!store.hasTable(table)) return 0
    const { description, ttlAttribute } = store.table(table)
    if (ttlAttribute === undefined) return 0
    let deleted = 0
    for (const key of keys) {
      const itemKey = key.slice(key.indexOf('~', prefix.length) + 1)
      const item = stage.get(KEYS.items(table) + itemKey) as Item | undefined
      const expiresAt = expiryOf(item, ttlAttribute)
      if (!item || expiresAt === undefined || expiryKey(expiresAt) >= before) continue
      const Key = Object.fromEntries(description.KeySchema.map(({ AttributeName: name }) => [name, item[name]]))
      runActionSync('DeleteItem', store.view(stage), { TableName: table, Key })
      deleted++
    }
    return deleted
  })
}

async function sweepTokens(store: Store): Promise<void> {
  const expired: string[] = []
  const before = KEYS.tokenTime(Date.now() - TOKEN_TTL_MS, '').slice(KEYS.tokenTimes.length)
  for await (const [key] of store.entries(KEYS.tokenTimes, { before, limit: TOKEN_BATCH })) expired.push(key)
  if (expired.length === 0) return
  await store.write((stage) => {
    for (const key of expired) {
      const token = key.slice(key.indexOf('~', KEYS.tokenTimes.length) + 1)
      const record = stage.get(KEYS.token(token)) as { at: number } | undefined
      stage.delete(key)
      // A token that was used again after its ten minutes has a later entry, too.
      if (record && KEYS.tokenTime(record.at, token) === key) stage.delete(KEYS.token(token))
    }
  })
}
