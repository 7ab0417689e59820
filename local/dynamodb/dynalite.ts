/**
 * The parts of dynalite 4.0.0 that the local DynamoDB is built on: validation, the expression parsers, and the actions on
 * single items and ranges. They are internals, which is why the version is pinned exactly.
 */
import { createRequire } from 'node:module'
import { AwsError } from '../common/aws-error.ts'

/** A typed value as on the wire: `{S: 'text'}`, `{N: '1'}`, … */
export type AttributeValue = { readonly [type: string]: unknown }
export type Item = { readonly [attribute: string]: AttributeValue }

export interface KeyElement {
  readonly AttributeName: string
  readonly KeyType: string
}

export interface IndexDescription {
  readonly IndexName: string
  readonly KeySchema: readonly KeyElement[]
  readonly Projection: { readonly ProjectionType?: string; readonly NonKeyAttributes?: readonly string[] }
  readonly [member: string]: unknown
}

/** `TableDescription`, as far as it is read here. */
export interface TableDescription {
  readonly TableName: string
  readonly TableStatus: string
  readonly KeySchema: readonly KeyElement[]
  readonly AttributeDefinitions: readonly { readonly AttributeName: string; readonly AttributeType: string }[]
  readonly GlobalSecondaryIndexes?: readonly IndexDescription[] | undefined
  readonly LocalSecondaryIndexes?: readonly IndexDescription[] | undefined
  readonly [member: string]: unknown
}

export type Callback<T> = (error: unknown, value?: T) => void

/** A key range of the store as dynalite's actions see it. Writes and reads call back at once. */
export interface RangeDb {
  get(key: string, callback: Callback<Item>): void
  put(key: string, value: Item, callback: Callback<void>): void
  del(key: string, callback: Callback<void>): void
  lock(key: string, run: (release: <C>(callback: C) => C) => void): void
  createValueStream(range: object): NodeJS.ReadableStream
}

/** The store as dynalite's actions see it. */
export interface DynaliteStore {
  readonly options: { readonly maxItemSize: number }
  getTable(name: string, checkStatus: boolean | Callback<TableDescription>, callback?: Callback<TableDescription>): void
  getItemDb(table: string): RangeDb
  getIndexDb(indexType: string, table: string, index: string): RangeDb
}

/** A validated request: the caller's members and the parsed expressions. */
// biome-ignore lint/suspicious/noExplicitAny: the members differ by operation and have been checked by dynalite
export type Prepared = Record<string, any>
type Action = (store: DynaliteStore, data: Prepared, callback: Callback<Prepared>) => void
type CheckTypes = (data: object, types: object) => Prepared
type CheckValidations = (data: Prepared, types: object, custom: unknown, store: DynaliteStore) => void

interface DynaliteDb {
  createKey(item: Item, table: TableDescription, schema?: readonly KeyElement[]): string
  createIndexKey(item: Item, table: TableDescription, schema: readonly KeyElement[]): string
  updateIndexes(
    store: DynaliteStore,
    table: TableDescription,
    before: Item | undefined,
    after: Item | null,
    callback: Callback<void>,
  ): void
  validateKey(key: Item, table: TableDescription): unknown
  validateItem(item: Item, table: TableDescription): unknown
  checkConditional(data: Prepared, existing: Item | undefined): unknown
  itemSize(item: Item): number
}

const require = createRequire(import.meta.url)
export const db: DynaliteDb = require('dynalite/db')
const validations: { checkTypes: CheckTypes; checkValidations: CheckValidations } = require('dynalite/validations')

const OPERATIONS = {
  BatchGetItem: 'batchGetItem',
  BatchWriteItem: 'batchWriteItem',
  CreateTable: 'createTable',
  DeleteItem: 'deleteItem',
  GetItem: 'getItem',
  PutItem: 'putItem',
  Query: 'query',
  Scan: 'scan',
  UpdateItem: 'updateItem',
  UpdateTable: 'updateTable',
} as const
export type DynaliteOperation = keyof typeof OPERATIONS

const actions = new Map<DynaliteOperation, Action>()
const rules = new Map<DynaliteOperation, { types: object; custom: unknown }>()
for (const [operation, file] of Object.entries(OPERATIONS) as [DynaliteOperation, string][]) {
  actions.set(operation, require(`dynalite/actions/${file}`))
  rules.set(operation, require(`dynalite/validations/${file}`))
}

/** DynamoDB's item limit: 400 KB. */
export const MAX_ITEM_BYTES = 400 * 1024

/** Checks a request's members and parses its expressions; `input` is used up. Throws `ValidationException`. */
export function prepare(operation: DynaliteOperation, input: object, store: DynaliteStore): Prepared {
  const rule = rules.get(operation)
  if (!rule) throw new Error(`dynalite has no validation for ${operation}`)
  try {
    const data = validations.checkTypes(input, rule.types)
    validations.checkValidations(data, rule.types, rule.custom, store)
    return data
  } catch (error) {
    throw toAwsError(error)
  }
}

/** Runs an action that may wait, such as a query. */
export function runAction(operation: DynaliteOperation, store: DynaliteStore, data: Prepared): Promise<Prepared> {
  return new Promise((resolve, reject) => {
    actionOf(operation)(store, data, (error, value) => (error ? reject(toAwsError(error)) : resolve(value ?? {})))
  })
}

/** Runs an action on a store that answers at once; no other write can come between its read and its writes. */
export function runActionSync(operation: DynaliteOperation, store: DynaliteStore, data: Prepared): Prepared {
  let outcome: { error: unknown } | { value: Prepared } | undefined
  actionOf(operation)(store, data, (error, value) => {
    outcome = error ? { error } : { value: value ?? {} }
  })
  if (!outcome) throw new Error(`dynalite's ${operation} did not finish in one go`)
  if ('error' in outcome) throw toAwsError(outcome.error)
  return outcome.value
}

function actionOf(operation: DynaliteOperation): Action {
  const action = actions.get(operation)
  if (!action) throw new Error(`dynalite has no action ${operation}`)
  return action
}

/** Throws dynalite's returned validation error, if there is one. */
export function throwIfInvalid(error: unknown): void {
  if (error !== undefined && error !== null) throw toAwsError(error)
}

/** dynalite's errors carry the answer's body; anything else is a defect and passed on. */
function toAwsError(error: unknown): unknown {
  const body = (error as { body?: { __type?: string; message?: string; Message?: string } } | undefined)?.body
  if (!body?.__type) return error
  return new AwsError(body.__type.slice(body.__type.indexOf('#') + 1), body.message ?? body.Message ?? '')
}

/** A `ValidationException` with DynamoDB's own words. */
export function invalid(message: string): AwsError {
  return new AwsError('ValidationException', message)
}
