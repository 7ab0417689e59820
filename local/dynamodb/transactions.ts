import { createHash } from 'node:crypto'
import { AwsError } from '../common/aws-error.ts'
import { db, type Item, invalid, type Prepared, prepare, runActionSync, throwIfInvalid } from './dynalite.ts'
import { writeUnits } from './indexes.ts'
import type { Stage } from './stage.ts'
import { KEYS, type Store } from './store.ts'
import type { Usage } from './usage.ts'
import {
  consumedCapacity,
  countUnits,
  existingItem,
  type Input,
  itemKey,
  type PreparedWrite,
  prepareWrite,
  stageWrite,
} from './writes.ts'

/** The most actions in a transaction. */
const MAX_ITEMS = 100
/** The most bytes of all items in a transaction. */
const MAX_BYTES = 4 * 1024 * 1024
/** A client token is honoured for ten minutes. */
export const TOKEN_TTL_MS = 10 * 60_000
/** Transactions cost twice the units. */
const PRICE = 2

const OPERATIONS = { Put: 'PutItem', Update: 'UpdateItem', Delete: 'DeleteItem', ConditionCheck: 'DeleteItem' } as const
type Kind = keyof typeof OPERATIONS

interface Action {
  readonly kind: Kind
  readonly write: PreparedWrite
}

interface CancellationReason {
  readonly Code: string
  readonly Message?: string
  readonly Item?: Item
}

interface ClientToken {
  readonly token: string
  /** Of the transaction's parameters. */
  readonly digest: string
}

/** What is kept of a transaction under its client token. */
interface TokenRecord {
  readonly at: number
  readonly digest: string
}

/**
 * `TransactWriteItems`: all conditions are checked against the data before the transaction, then all items and their index
 * entries are written in one LevelDB batch, with the client token. Throws `TransactionCanceledException` with a reason for
 * each action.
 */
export async function transactWriteItems(store: Store, usage: Usage, input: Input): Promise<Prepared> {
  const items = actionsOf(input)
  const actions = items.map((item) => prepareAction(store, item))
  const token = tokenOf(input)
  const tables = [...new Set(actions.map(({ write }) => String(write.data.TableName)))]
  for (const table of tables)
    if (!store.hasTable(table)) throw new AwsError('ResourceNotFoundException', 'Requested resource not found')
  let staged: Stage | undefined
  try {
    await store.write((stage) => {
      if (token && isRepeated(stage, token)) return
      staged = stage
      assertDistinct(store, actions)
      const reasons = actions.map((action) => stageAction(store, stage, action))
      const codes = reasons.map(({ Code }) => Code)
      if (codes.some((code) => code !== 'None'))
        throw new AwsError(
          'TransactionCanceledException',
          `Transaction cancelled, please refer cancellation reasons for specific reasons [${codes.join(', ')}]`,
          { fields: { CancellationReasons: reasons } },
        )
      if (token) remember(stage, token)
    })
  } finally {
    for (const table of tables) usage.request(table, 'TransactWriteItems')
    countUnits(usage, staged, PRICE)
  }
  const capacities = tables.map((table) => consumedCapacity(staged, table, input.ReturnConsumedCapacity, PRICE))
  return capacities[0] ? { ConsumedCapacity: capacities } : {}
}

/** `TransactGetItems`: all items as they are at one moment between two writes. */
export async function transactGetItems(store: Store, usage: Usage, input: Input): Promise<Prepared> {
  const gets = actionsOf(input).map(({ Get, ...others }) => {
    if (typeof Get !== 'object' || Get === null || Object.keys(others).length > 0)
      throw invalid('TransactItems can only contain Get')
    return prepare('GetItem', { ...Get, ConsistentRead: true, ReturnConsumedCapacity: 'TOTAL' }, store.view())
  })
  const results = await store.write((stage) => gets.map((data) => runActionSync('GetItem', store.view(stage), data)))
  const units = new Map<string, number>()
  for (const { ConsumedCapacity } of results) {
    const { TableName, CapacityUnits } = ConsumedCapacity
    units.set(TableName, (units.get(TableName) ?? 0) + CapacityUnits * PRICE)
  }
  for (const [table, used] of units) {
    usage.request(table, 'TransactGetItems')
    usage.read(table, used)
  }
  const asked = input.ReturnConsumedCapacity === 'TOTAL' || input.ReturnConsumedCapacity === 'INDEXES'
  return {
    Responses: results.map(({ Item }) => (Item ? { Item } : {})),
    ...(asked && {
      ConsumedCapacity: [...units].map(([TableName, CapacityUnits]) => ({ TableName, CapacityUnits })),
    }),
  }
}

function actionsOf({ TransactItems }: Input): Input[] {
  const count = Array.isArray(TransactItems) ? TransactItems.length : 0
  if (count < 1 || count > MAX_ITEMS)
    throw invalid(
      "1 validation error detected: Value at 'transactItems' failed to satisfy constraint: " +
        `Member must have length ${count < 1 ? 'greater than or equal to 1' : `less than or equal to ${MAX_ITEMS}`}`,
    )
  return TransactItems as Input[]
}

function prepareAction(store: Store, item: Input): Action {
  const kinds = Object.keys(OPERATIONS).filter((kind) => item[kind] !== undefined) as Kind[]
  const [kind] = kinds
  if (kind === undefined || kinds.length > 1)
    throw invalid('TransactItems can only contain one of Check, Put, Update or Delete')
  const input = item[kind] as Input
  if (kind === 'ConditionCheck' && typeof input.ConditionExpression !== 'string')
    throw invalid('The expression can not be empty; a ConditionCheck needs a ConditionExpression')
  return { kind, write: prepareWrite(store, OPERATIONS[kind], input) }
}

/** Stages one action; a refusal is its reason, and the transaction as a whole is then not committed. */
function stageAction(store: Store, stage: Stage, { kind, write }: Action): CancellationReason {
  try {
    if (kind === 'ConditionCheck') checkCondition(store, stage, write)
    else stageWrite(store, stage, write)
    return { Code: 'None' }
  } catch (error) {
    if (!(error instanceof AwsError)) throw error
    if (error.code !== 'ConditionalCheckFailedException') return { Code: 'ValidationError', Message: error.message }
    const item = error.fields.Item as Item | undefined
    return { Code: 'ConditionalCheckFailed', Message: error.message, ...(item && { Item: item }) }
  }
}

function checkCondition(store: Store, stage: Stage, { data, returnOldOnFailure }: PreparedWrite): void {
  throwIfInvalid(db.validateKey(data.Key, store.table(data.TableName).description))
  const existing = existingItem(store, stage, data)
  stage.consume(data.TableName, writeUnits(existing))
  if (db.checkConditional(data, existing) == null) return
  const fields = returnOldOnFailure && existing ? { Item: existing } : {}
  throw new AwsError('ConditionalCheckFailedException', 'The conditional request failed', { fields })
}

/** Throws when two actions name one item, or all items together are too large. */
function assertDistinct(store: Store, actions: readonly Action[]): void {
  const seen = new Set<string>()
  let bytes = 0
  for (const { write } of actions) {
    const { data } = write
    const { description } = store.table(data.TableName)
    const isInvalid = data.Key ? db.validateKey(data.Key, description) : db.validateItem(data.Item, description)
    if (isInvalid != null) continue // its own reason, later
    const key = itemKey(store, data)
    if (seen.has(key)) throw invalid('Transaction request cannot include multiple operations on one item')
    seen.add(key)
    bytes += db.itemSize(data.Item ?? (store.get(key) as Item | undefined) ?? data.Key)
  }
  if (bytes > MAX_BYTES) throw invalid(`Transaction request cannot be larger than ${MAX_BYTES} bytes; it has ${bytes}`)
}

function tokenOf({ ClientRequestToken: token, TransactItems }: Input): ClientToken | undefined {
  if (token === undefined) return undefined
  if (typeof token !== 'string' || token.length < 1 || token.length > 36)
    throw invalid('ClientRequestToken must have 1 to 36 characters')
  const digest = createHash('sha256').update(JSON.stringify(TransactItems)).digest('hex')
  return { token, digest }
}

/** The token joins the transaction's batch: a repetition is known even after a crash. */
function remember(stage: Stage, { token, digest }: ClientToken): void {
  const record: TokenRecord = { at: Date.now(), digest }
  stage.put(KEYS.token(token), record)
  stage.put(KEYS.tokenTime(record.at, token), 1)
}

/** Whether the transaction has been committed before. Throws when its token was used for another one. */
function isRepeated(stage: Stage, { token, digest }: ClientToken): boolean {
  const record = stage.get(KEYS.token(token)) as TokenRecord | undefined
  if (!record || Date.now() - record.at > TOKEN_TTL_MS) return false
  if (record.digest !== digest)
    throw new AwsError(
      'IdempotentParameterMismatchException',
      'A different set of parameters was used with a client request token that has already been used',
    )
  return true
}
