import type { CloudAssembly } from '../assembly/cloud-assembly.ts'
import type { AwsOperation, OnRequest } from '../common/aws-call.ts'
import { createAwsJsonServer } from '../common/aws-json-server.ts'
import { sweepExpired } from './expiry-sweeper.ts'
import { batchGetItem, readItems } from './reads.ts'
import { Store } from './store.ts'
import {
  createTable,
  deleteTable,
  describeTable,
  describeTimeToLive,
  listTables,
  updateTable,
  updateTimeToLive,
} from './tables.ts'
import { createTablesOf } from './template-tables.ts'
import { transactGetItems, transactWriteItems } from './transactions.ts'
import { type TableUsage, Usage } from './usage.ts'
import { batchWriteItem, writeItem } from './writes.ts'

/** What `createDynamoDb` takes. */
export interface DynamoDbOptions {
  /** Where the data is kept; in memory when undefined. One process at a time. */
  readonly directory?: string | undefined
  /** 0, the default, takes a free port. */
  readonly port?: number | undefined
  readonly onRequest?: OnRequest | undefined
  /** How often expired items are looked for, in milliseconds; default 1,000. DynamoDB takes up to two days. */
  readonly sweepIntervalMs?: number | undefined
  /** Told when a sweep fails; default prints it. */
  readonly onSweepFailure?: ((error: unknown) => void) | undefined
}

/** A running local DynamoDB. */
export interface DynamoDb {
  /** The value for `AWS_ENDPOINT_URL_DYNAMODB`. */
  readonly url: string
  /**
   * Creates the assembly's tables; those that are there already keep their items and get the indexes and the TTL that the
   * assembly now says. Throws when a table's key has changed. Returns the names.
   */
  createTables(assembly: CloudAssembly): Promise<string[]>
  /** Requests and consumed units by table, since the start or the last reset. */
  usage(): Readonly<Record<string, TableUsage>>
  resetUsage(): void
  /** Deletes what has expired now; returns how many items. */
  sweep(): Promise<number>
  close(): Promise<void>
}

/** Serves DynamoDB's wire protocol on loopback, one write after the other. */
export async function createDynamoDb(options: DynamoDbOptions = {}): Promise<DynamoDb> {
  const store = await Store.open(options.directory)
  const usage = new Usage()
  const operations: Record<string, AwsOperation> = {
    BatchGetItem: (input) => batchGetItem(store, usage, input),
    BatchWriteItem: (input) => batchWriteItem(store, usage, input),
    CreateTable: (input) => createTable(store, input),
    DeleteItem: (input) => writeItem(store, usage, 'DeleteItem', input),
    DeleteTable: (input) => deleteTable(store, input),
    DescribeTable: (input) => describeTable(store, input),
    DescribeTimeToLive: (input) => describeTimeToLive(store, input),
    GetItem: (input) => readItems(store, usage, 'GetItem', input),
    ListTables: (input) => listTables(store, input),
    PutItem: (input) => writeItem(store, usage, 'PutItem', input),
    Query: (input) => readItems(store, usage, 'Query', input),
    Scan: (input) => readItems(store, usage, 'Scan', input),
    TransactGetItems: (input) => transactGetItems(store, usage, input),
    TransactWriteItems: (input) => transactWriteItems(store, usage, input),
    UpdateItem: (input) => writeItem(store, usage, 'UpdateItem', input),
    UpdateTable: (input) => updateTable(store, input),
    UpdateTimeToLive: (input) => updateTimeToLive(store, input),
  }
  const server = await createAwsJsonServer({
    services: [
      {
        name: 'dynamodb',
        target: 'DynamoDB_20120810',
        version: '1.0',
        errorPrefix: 'com.amazonaws.dynamodb.v20120810#',
        operations,
      },
    ],
    onRequest: options.onRequest,
    port: options.port,
  })
  let sweeping: Promise<unknown> | undefined
  const onSweepFailure = options.onSweepFailure ?? ((error) => console.error('The TTL sweep failed:', error))
  const sweeper = setInterval(() => {
    sweeping ??= sweepExpired(store)
      .catch(onSweepFailure)
      .finally(() => {
        sweeping = undefined
      })
  }, options.sweepIntervalMs ?? 1_000)
  sweeper.unref()
  return {
    url: server.url,
    createTables: (assembly) => createTablesOf(assembly, store),
    usage: () => usage.snapshot(),
    resetUsage: () => usage.reset(),
    sweep: () => sweepExpired(store),
    async close() {
      clearInterval(sweeper)
      await server.close()
      await sweeping
      await store.close()
    },
  }
}
