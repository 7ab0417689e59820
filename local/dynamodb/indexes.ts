import { type DynaliteStore, db, type IndexDescription, type Item, invalid, type TableDescription } from './dynalite.ts'
import type { Stage } from './stage.ts'
import { KEYS, StagedView, type Store } from './store.ts'

const WRITE_UNIT_BYTES = 1024

/** Write request units for an item of this size: one for each KB begun. */
export function writeUnits(item: Item | undefined | null): number {
  return item ? Math.max(1, Math.ceil(db.itemSize(item) / WRITE_UNIT_BYTES)) : 1
}

/**
 * Two replacements in dynalite, whose actions call both through its `db` module:
 * - The key of an index entry ends in the item's whole key. dynalite appends six hex digits of a hash, so that among some
 *   thousand items with the same index key two fall on one entry, and one of them vanishes from the index.
 * - Index entries join the batch of their item, and an entry that stays as it was is not written, as DynamoDB bills it.
 */
db.createIndexKey = indexKey
db.updateIndexes = (view: DynaliteStore, table, before, after, callback) => {
  if (!(view instanceof StagedView) || !view.stage) throw new Error('An index update outside of Store.write')
  try {
    stageIndexEntries(view.store, view.stage, table, before, after ?? undefined)
  } catch (error) {
    callback(error)
    return
  }
  callback(null)
}

function indexKey(item: Item, table: TableDescription, schema: TableDescription['KeySchema']): string {
  return db.createKey(item, table, schema) + db.createKey(item, table)
}

/** The table's indexes of both kinds. */
export function indexesOf(table: TableDescription): readonly IndexDescription[] {
  return [...(table.LocalSecondaryIndexes ?? []), ...(table.GlobalSecondaryIndexes ?? [])]
}

/** Stages an item's index and expiry entries as it changes from `before` to `after`. */
function stageIndexEntries(
  store: Store,
  stage: Stage,
  table: TableDescription,
  before: Item | undefined,
  after: Item | undefined,
): void {
  const { ttlAttribute } = store.table(table.TableName)
  for (const index of indexesOf(table)) stageEntry(stage, table, index, before, after)
  if (ttlAttribute !== undefined) stageExpiry(stage, table, ttlAttribute, before, after)
}

/** Stages the entry of one index. Throws `ValidationException` for a key that the index cannot hold. */
export function stageEntry(
  stage: Stage,
  table: TableDescription,
  index: IndexDescription,
  before: Item | undefined,
  after: Item | undefined,
): void {
  const prefix = KEYS.index(table.TableName, index.IndexName)
  const old = entryOf(table, index, before)
  const next = entryOf(table, index, after)
  if (old && old.key !== next?.key) {
    stage.delete(prefix + old.key)
    stage.consume(table.TableName, writeUnits(old.item), index.IndexName)
  }
  if (next && (old?.key !== next.key || JSON.stringify(old.item) !== JSON.stringify(next.item))) {
    stage.put(prefix + next.key, next.item)
    stage.consume(table.TableName, writeUnits(next.item), index.IndexName)
  }
}

function entryOf(
  table: TableDescription,
  index: IndexDescription,
  item: Item | undefined,
): { key: string; item: Item } | undefined {
  if (!item) return undefined
  const indexKeys = index.KeySchema.map(({ AttributeName }) => AttributeName)
  for (const attribute of indexKeys) assertKeyValue(table, index, attribute, item)
  if (indexKeys.some((attribute) => item[attribute] === undefined)) return undefined // a sparse index
  const key = indexKey(item, table, index.KeySchema)
  if (index.Projection.ProjectionType === 'ALL') return { key, item }
  const tableKeys = table.KeySchema.map(({ AttributeName }) => AttributeName)
  const projected: Record<string, Item[string]> = {}
  for (const attribute of [...indexKeys, ...tableKeys, ...(index.Projection.NonKeyAttributes ?? [])]) {
    const value = item[attribute]
    if (value !== undefined) projected[attribute] = value
  }
  return { key, item: projected }
}

function assertKeyValue(table: TableDescription, index: IndexDescription, attribute: string, item: Item): void {
  const value = item[attribute]
  if (value === undefined) return
  const type = table.AttributeDefinitions.find(({ AttributeName }) => AttributeName === attribute)?.AttributeType ?? 'S'
  if (value[type] === undefined)
    throw invalid(
      `One or more parameter values were invalid: Type mismatch for Index Key ${attribute} Expected: ${type} ` +
        `Actual: ${Object.keys(value)[0]} IndexName: ${index.IndexName}`,
    )
  if (value[type] === '')
    throw invalid(
      'One or more parameter values are not valid. A value specified for a secondary index key is not supported. ' +
        `The AttributeValue for a key attribute cannot contain an empty string value. IndexName: ${index.IndexName}, ` +
        `IndexKey: ${attribute}`,
    )
}

/** DynamoDB does not expire items whose time is more than five years past. */
const OLDEST_EXPIRY_SECONDS = 5 * 365 * 24 * 60 * 60

/** Digits of a Unix time in seconds, padded so that entries sort by time. */
export function expiryKey(seconds: number): string {
  return String(Math.floor(seconds)).padStart(12, '0')
}

/** The item's expiry in Unix seconds; undefined when it has none that counts. */
export function expiryOf(item: Item | undefined, ttlAttribute: string): number | undefined {
  const value = item?.[ttlAttribute]?.N
  if (typeof value !== 'string') return undefined
  const seconds = Number(value)
  const counts = seconds > 0 && seconds < 1e12 && seconds > Date.now() / 1000 - OLDEST_EXPIRY_SECONDS
  return counts ? seconds : undefined
}

/** Stages the entry that the sweeper finds an item by when its time has come. */
export function stageExpiry(
  stage: Stage,
  table: TableDescription,
  ttlAttribute: string,
  before: Item | undefined,
  after: Item | undefined,
): void {
  const keyOf = (item: Item | undefined): string | undefined => {
    const seconds = expiryOf(item, ttlAttribute)
    return item && seconds !== undefined
      ? `${KEYS.expiries(table.TableName)}${expiryKey(seconds)}~${db.createKey(item, table)}`
      : undefined
  }
  const [old, next] = [keyOf(before), keyOf(after)]
  if (old === next) return
  if (old !== undefined) stage.delete(old)
  if (next !== undefined) stage.put(next, 1)
}
