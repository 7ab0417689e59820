import { randomUUID } from 'node:crypto'
import { arn } from '../assembly/account.ts'
import { AwsError } from '../common/aws-error.ts'
import { type IndexDescription, type Item, invalid, type Prepared, prepare, type TableDescription } from './dynalite.ts'
import { indexesOf, stageEntry, stageExpiry } from './indexes.ts'
import type { Stage, TableRecord } from './stage.ts'
import { KEYS, type Store } from './store.ts'
import type { Input } from './writes.ts'

/** `CreateTable`. The table can be used at once; the answer says `CREATING`, as DynamoDB's does. */
export async function createTable(store: Store, input: Input): Promise<Prepared> {
  const data = prepare('CreateTable', structuredClone(input), store.view())
  const table = String(data.TableName)
  const description = describe(data)
  await store.write((stage) => {
    if (store.hasTable(table)) throw new AwsError('ResourceInUseException', `Table already exists: ${table}`)
    putRecord(stage, table, { description })
  })
  return { TableDescription: { ...description, TableStatus: 'CREATING' } }
}

/** `DeleteTable`, with everything in it. */
export async function deleteTable(store: Store, input: Input): Promise<Prepared> {
  const table = tableName(input)
  return store.write(async (stage) => {
    const { description } = store.table(table)
    for (const prefix of [KEYS.items(table), KEYS.indexes(table), KEYS.expiries(table)])
      await deleteUnder(store, stage, prefix)
    stage.delete(KEYS.table(table))
    stage.tables.set(table, undefined)
    return { TableDescription: { ...description, TableStatus: 'DELETING' } }
  })
}

/** `DescribeTable`. */
export function describeTable(store: Store, input: Input): Prepared {
  return { Table: store.table(tableName(input)).description }
}

/** `ListTables`, at most 100 a page. */
export function listTables(store: Store, { ExclusiveStartTableName: start, Limit = 100 }: Input): Prepared {
  const names = store.tableNames().filter((name) => start === undefined || name > String(start))
  const page = names.slice(0, Math.min(Number(Limit), 100))
  return { TableNames: page, ...(page.length < names.length && { LastEvaluatedTableName: page.at(-1) }) }
}

/** `UpdateTable`: billing mode, throughput, and global secondary indexes, which are filled before it answers. */
export async function updateTable(store: Store, input: Input): Promise<Prepared> {
  const table = tableName(input)
  const updates = (input.GlobalSecondaryIndexUpdates ?? []) as Prepared[]
  validateUpdate(store, input, updates)
  return store.write(async (stage) => {
    const record = store.table(table)
    const dropped = updates.flatMap(({ Delete }) => (Delete ? [String(Delete.IndexName)] : []))
    for (const name of dropped)
      if (!record.description.GlobalSecondaryIndexes?.some(({ IndexName }) => IndexName === name))
        throw new AwsError('ResourceNotFoundException', `Requested resource not found: Index: ${name} not found`)
    const created = updates.flatMap(({ Create }) => (Create ? [describeIndex(table, Create)] : []))
    for (const { IndexName } of created)
      if (indexesOf(record.description).some((index) => index.IndexName === IndexName))
        throw invalid(`Attempting to create an index which already exists: ${IndexName}`)
    const description = updated(record.description, input, created, dropped)
    for (const name of dropped) await deleteUnder(store, stage, KEYS.index(table, name))
    for (const index of created) await fillIndex(store, stage, description, index)
    putRecord(stage, table, { ...record, description })
    return { TableDescription: description }
  })
}

/** `UpdateTimeToLive`. Items that are there already expire too. */
export async function updateTimeToLive(store: Store, input: Input): Promise<Prepared> {
  const table = tableName(input)
  const specification = input.TimeToLiveSpecification as { AttributeName?: string; Enabled?: boolean } | undefined
  const { AttributeName: attribute, Enabled: enabled } = specification ?? {}
  if (typeof attribute !== 'string' || typeof enabled !== 'boolean')
    throw invalid('TimeToLiveSpecification needs AttributeName and Enabled')
  return store.write(async (stage) => {
    const { description, ttlAttribute } = store.table(table)
    if (enabled && ttlAttribute === attribute) throw invalid('TimeToLive is already enabled')
    if (enabled && ttlAttribute !== undefined)
      throw invalid(`TimeToLive is active on a different AttributeName: current AttributeName is ${ttlAttribute}`)
    if (!enabled && ttlAttribute === undefined) throw invalid('TimeToLive is already disabled')
    await deleteUnder(store, stage, KEYS.expiries(table))
    if (enabled)
      for await (const [, item] of store.entries(KEYS.items(table)))
        stageExpiry(stage, description, attribute, undefined, item as Item)
    putRecord(stage, table, { description, ...(enabled && { ttlAttribute: attribute }) })
    return { TimeToLiveSpecification: { AttributeName: attribute, Enabled: enabled } }
  })
}

/** `DescribeTimeToLive`. */
export function describeTimeToLive(store: Store, input: Input): Prepared {
  const { ttlAttribute } = store.table(tableName(input))
  return {
    TimeToLiveDescription: ttlAttribute
      ? { TimeToLiveStatus: 'ENABLED', AttributeName: ttlAttribute }
      : { TimeToLiveStatus: 'DISABLED' },
  }
}

function tableName({ TableName }: Input): string {
  if (typeof TableName !== 'string') throw invalid('TableName is required')
  return TableName.startsWith('arn:') ? TableName.slice(TableName.lastIndexOf('/') + 1) : TableName
}

function describe({ BillingMode, ...data }: Prepared): TableDescription {
  const { TableName } = data
  return {
    ...(data as TableDescription),
    TableArn: arn('dynamodb', `table/${TableName}`),
    TableId: randomUUID(),
    TableStatus: 'ACTIVE',
    CreationDateTime: Date.now() / 1000,
    ItemCount: 0,
    TableSizeBytes: 0,
    ProvisionedThroughput: throughput(data.ProvisionedThroughput),
    ...(BillingMode === 'PAY_PER_REQUEST' && { BillingModeSummary: { BillingMode } }),
    ...(data.GlobalSecondaryIndexes && {
      GlobalSecondaryIndexes: data.GlobalSecondaryIndexes.map((index: Prepared) => describeIndex(TableName, index)),
    }),
    ...(data.LocalSecondaryIndexes && {
      LocalSecondaryIndexes: data.LocalSecondaryIndexes.map((index: Prepared) => ({
        ...index,
        IndexArn: arn('dynamodb', `table/${TableName}/index/${index.IndexName}`),
      })),
    }),
  }
}

function describeIndex(table: string, index: Prepared): IndexDescription {
  return {
    ...(index as IndexDescription),
    IndexArn: arn('dynamodb', `table/${table}/index/${index.IndexName}`),
    IndexStatus: 'ACTIVE',
    ItemCount: 0,
    IndexSizeBytes: 0,
    ProvisionedThroughput: throughput(index.ProvisionedThroughput),
  }
}

function throughput(given: Prepared | undefined): Prepared {
  return { ReadCapacityUnits: 0, WriteCapacityUnits: 0, NumberOfDecreasesToday: 0, ...given }
}

/** dynalite wants a throughput for a new index, also where the table is billed by request. */
function validateUpdate(store: Store, input: Input, updates: readonly Prepared[]): void {
  const ProvisionedThroughput = { ReadCapacityUnits: 1, WriteCapacityUnits: 1 }
  const complete = updates.map(({ Create, ...rest }) =>
    Create ? { ...rest, Create: { ProvisionedThroughput, ...Create } } : rest,
  )
  prepare(
    'UpdateTable',
    structuredClone({ ...input, ...(updates.length > 0 && { GlobalSecondaryIndexUpdates: complete }) }),
    store.view(),
  )
}

function updated(
  description: TableDescription,
  input: Input,
  created: readonly IndexDescription[],
  dropped: readonly string[],
): TableDescription {
  const given = (input.AttributeDefinitions ?? []) as TableDescription['AttributeDefinitions']
  const definitions = new Map([...description.AttributeDefinitions, ...given].map((each) => [each.AttributeName, each]))
  const kept = (description.GlobalSecondaryIndexes ?? []).filter(({ IndexName }) => !dropped.includes(IndexName))
  const indexes = [...kept, ...created]
  const result: TableDescription = {
    ...description,
    GlobalSecondaryIndexes: indexes.length > 0 ? indexes : undefined,
    ...(input.BillingMode !== undefined && { BillingModeSummary: { BillingMode: input.BillingMode } }),
    ...(input.ProvisionedThroughput !== undefined && {
      ProvisionedThroughput: throughput(input.ProvisionedThroughput as Prepared),
    }),
  }
  const used = [result, ...indexesOf(result)].flatMap(({ KeySchema }) => KeySchema.map((key) => key.AttributeName))
  for (const attribute of used)
    if (!definitions.has(attribute))
      throw invalid(
        `One or more parameter values were invalid: Some index key attributes are not defined: ${attribute}`,
      )
  return {
    ...result,
    AttributeDefinitions: [...definitions.values()].filter((each) => used.includes(each.AttributeName)),
  }
}

async function fillIndex(
  store: Store,
  stage: Stage,
  description: TableDescription,
  index: IndexDescription,
): Promise<void> {
  // An item whose attribute cannot be a key is left out of a new index, as DynamoDB's backfill does.
  for await (const [, item] of store.entries(KEYS.items(description.TableName)))
    try {
      stageEntry(stage, description, index, undefined, item as Item)
    } catch (error) {
      if (!(error instanceof AwsError)) throw error
    }
}

async function deleteUnder(store: Store, stage: Stage, prefix: string): Promise<void> {
  for await (const [key] of store.entries(prefix)) stage.delete(key)
}

function putRecord(stage: Stage, table: string, record: TableRecord): void {
  stage.put(KEYS.table(table), record)
  stage.tables.set(table, record)
}
