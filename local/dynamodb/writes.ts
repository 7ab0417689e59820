import { AwsError } from '../common/aws-error.ts'
import { db, type Item, type Prepared, prepare, runActionSync } from './dynalite.ts'
import { writeUnits } from './indexes.ts'
import type { Stage } from './stage.ts'
import { KEYS, type Store } from './store.ts'
import type { Usage } from './usage.ts'

type WriteOperation = 'PutItem' | 'UpdateItem' | 'DeleteItem'

/** A request as it came over the wire. */
export type Input = Readonly<Record<string, unknown>>

/** What one write is made of, after its static validation. */
export interface PreparedWrite {
  readonly operation: WriteOperation
  readonly data: Prepared
  /** Whether a failed condition answers with the item as it is. */
  readonly returnOldOnFailure: boolean
}

/** Validates a write and parses its expressions. Throws `ValidationException`. */
export function prepareWrite(store: Store, operation: WriteOperation, input: Input): PreparedWrite {
  const { ReturnValuesOnConditionCheckFailure: returnOnFailure } = input
  if (returnOnFailure !== undefined && returnOnFailure !== 'ALL_OLD' && returnOnFailure !== 'NONE')
    throw new AwsError(
      'ValidationException',
      `1 validation error detected: Value '${returnOnFailure}' at 'returnValuesOnConditionCheckFailure' failed to ` +
        'satisfy constraint: Member must satisfy enum value set: [ALL_OLD, NONE]',
    )
  const data = prepare(operation, { ...input }, store.view())
  rejectDocumentComparison(data._condition?.expression)
  return { operation, data, returnOldOnFailure: returnOnFailure === 'ALL_OLD' }
}

/** The item's key in the store. Throws when the key does not fit the table. */
export function itemKey(store: Store, data: Prepared): string {
  const { description } = store.table(data.TableName)
  return KEYS.items(data.TableName) + db.createKey(data.Key ?? data.Item, description)
}

/** The item that the write finds; undefined when there is none. */
export function existingItem(store: Store, stage: Stage, data: Prepared): Item | undefined {
  return stage.get(itemKey(store, data)) as Item | undefined
}

/** Stages one write with its index entries and adds up its units. Throws what DynamoDB answers. */
export function stageWrite(store: Store, stage: Stage, write: PreparedWrite): Prepared {
  const { operation, data, returnOldOnFailure } = write
  try {
    const before = data.Key || data.Item ? tryExisting(store, stage, data) : undefined
    const result = runActionSync(operation, store.view(stage), data)
    const after = operation === 'DeleteItem' ? undefined : tryExisting(store, stage, data)
    stage.consume(data.TableName, Math.max(writeUnits(before), writeUnits(after)))
    return result
  } catch (error) {
    const failed = error instanceof AwsError && error.code === 'ConditionalCheckFailedException'
    if (!failed) throw error
    const existing = existingItem(store, stage, data)
    stage.consume(data.TableName, writeUnits(existing))
    const fields = returnOldOnFailure && existing ? { Item: existing } : {}
    throw new AwsError(error.code, error.message, { fields })
  }
}

/** Before the action has validated the key, the key may not fit the table; the action then says so itself. */
function tryExisting(store: Store, stage: Stage, data: Prepared): Item | undefined {
  const { description } = store.table(data.TableName)
  const key = data.Key ?? data.Item
  const fits = description.KeySchema.every(({ AttributeName }) => key[AttributeName] !== undefined)
  return fits && db.validateItem(key, { ...description, GlobalSecondaryIndexes: [], LocalSecondaryIndexes: [] }) == null
    ? existingItem(store, stage, data)
    : undefined
}

/** `PutItem`, `UpdateItem` and `DeleteItem`. */
export async function writeItem(
  store: Store,
  usage: Usage,
  operation: WriteOperation,
  input: Input,
): Promise<Prepared> {
  const write = prepareWrite(store, operation, input)
  const table = String(write.data.TableName)
  let staged: Stage | undefined
  try {
    const result = await store.write((stage) => {
      staged = stage
      return stageWrite(store, stage, write)
    })
    return { ...result, ConsumedCapacity: consumedCapacity(staged, table, write.data.ReturnConsumedCapacity) }
  } finally {
    if (store.hasTable(table)) usage.request(table, operation)
    countUnits(usage, staged)
  }
}

/** `BatchWriteItem`. Every item is written: there are never unprocessed ones. */
export async function batchWriteItem(store: Store, usage: Usage, input: Input): Promise<Prepared> {
  const data = prepare('BatchWriteItem', { ...input }, store.view())
  let staged: Stage | undefined
  await store.write((stage) => {
    staged = stage
    runActionSync('BatchWriteItem', store.view(stage), { ...data, ReturnConsumedCapacity: 'NONE' })
    for (const [TableName, requests] of Object.entries<Prepared[]>(data.RequestItems))
      for (const { PutRequest, DeleteRequest } of requests) {
        const target = { TableName, ...(PutRequest ? { Item: PutRequest.Item } : { Key: DeleteRequest?.Key }) }
        const before = store.get(itemKey(store, target)) as Item | undefined
        stage.consume(TableName, Math.max(writeUnits(before), writeUnits(PutRequest?.Item)))
      }
  })
  const tables = Object.keys(data.RequestItems)
  for (const table of tables) usage.request(table, 'BatchWriteItem')
  countUnits(usage, staged)
  const capacities = tables.map((table) => consumedCapacity(staged, table, data.ReturnConsumedCapacity))
  return { UnprocessedItems: {}, ConsumedCapacity: capacities[0] ? capacities : undefined }
}

/** Adds what a stage has used to the counters, `factor` times. */
export function countUnits(usage: Usage, stage: Stage | undefined, factor = 1): void {
  for (const [table, { table: units, indexes }] of stage?.units ?? []) {
    let sum = units
    for (const indexUnits of indexes.values()) sum += indexUnits
    usage.write(table, sum * factor)
  }
}

/** The `ConsumedCapacity` member that the request asked for; undefined for none. */
export function consumedCapacity(
  stage: Stage | undefined,
  table: string,
  asked: unknown,
  factor = 1,
): Prepared | undefined {
  if (asked !== 'TOTAL' && asked !== 'INDEXES') return undefined
  const used = stage?.units.get(table)
  const own = (used?.table ?? 0) * factor
  const indexes = [...(used?.indexes ?? [])].map(([name, units]) => [name, { CapacityUnits: units * factor }] as const)
  const total = indexes.reduce((sum, [, { CapacityUnits }]) => sum + CapacityUnits, own)
  if (asked === 'TOTAL') return { TableName: table, CapacityUnits: total }
  return {
    TableName: table,
    CapacityUnits: total,
    Table: { CapacityUnits: own },
    ...(indexes.length > 0 && { GlobalSecondaryIndexes: Object.fromEntries(indexes) }),
  }
}

/**
 * dynalite compares maps and lists by identity, so that `=` is never and `<>` always true for them. Rather than answer
 * wrongly, such a condition is refused. Throws.
 */
export function rejectDocumentComparison(expression: Prepared | undefined): void {
  for (const argument of (expression?.args ?? []) as Prepared[]) {
    if (['=', '<>', 'in'].includes(expression?.type) && (argument?.M || argument?.L))
      throw new AwsError('ValidationException', 'The local DynamoDB does not compare maps or lists in a condition')
    if (argument && !Array.isArray(argument) && argument.args) rejectDocumentComparison(argument)
  }
}
