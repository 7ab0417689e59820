import * as z from 'zod'
import type { CloudAssembly, Resource } from '../assembly/cloud-assembly.ts'
import type { IndexDescription, TableDescription } from './dynalite.ts'
import type { Store } from './store.ts'
import { createTable, updateTable, updateTimeToLive } from './tables.ts'

const KeySchema = z.array(z.object({ AttributeName: z.string(), KeyType: z.enum(['HASH', 'RANGE']) }))
const Index = z.object({
  IndexName: z.string(),
  KeySchema,
  Projection: z.object({
    ProjectionType: z.enum(['ALL', 'INCLUDE', 'KEYS_ONLY']).default('ALL'),
    NonKeyAttributes: z.array(z.string()).optional(),
  }),
})
const TableProperties = z.object({
  AttributeDefinitions: z.array(z.object({ AttributeName: z.string(), AttributeType: z.enum(['S', 'N', 'B']) })),
  KeySchema,
  GlobalSecondaryIndexes: z.array(Index).optional(),
  LocalSecondaryIndexes: z.array(Index).optional(),
  TimeToLiveSpecification: z.object({ AttributeName: z.string().optional(), Enabled: z.boolean() }).optional(),
  StreamSpecification: z.unknown().optional(),
})
type TableProperties = z.infer<typeof TableProperties>

/** See `DynamoDb.createTables`. */
export async function createTablesOf(assembly: CloudAssembly, store: Store): Promise<string[]> {
  const tables = [...assembly.ofType('AWS::DynamoDB::Table'), ...assembly.ofType('AWS::DynamoDB::GlobalTable')]
  for (const table of tables) await bringUp(table, store)
  return tables.map(({ ref }) => ref)
}

async function bringUp(table: Resource, store: Store): Promise<void> {
  const properties = TableProperties.parse(table.properties)
  if (properties.StreamSpecification !== undefined)
    throw new Error(`${table.ref} has a stream, which the local DynamoDB does not have`)
  const name = table.ref
  if (!store.hasTable(name)) {
    const { AttributeDefinitions, KeySchema, GlobalSecondaryIndexes, LocalSecondaryIndexes } = properties
    const indexes = {
      ...(GlobalSecondaryIndexes?.length && { GlobalSecondaryIndexes }),
      ...(LocalSecondaryIndexes?.length && { LocalSecondaryIndexes }),
    }
    await createTable(store, {
      TableName: name,
      AttributeDefinitions,
      KeySchema,
      BillingMode: 'PAY_PER_REQUEST',
      ...indexes,
    })
  } else {
    assertSameKey(name, store.table(name).description, properties)
    await updateIndexes(name, properties, store)
  }
  await updateTtl(name, properties, store)
}

function assertSameKey(
  name: string,
  existing: TableDescription,
  { KeySchema, LocalSecondaryIndexes }: TableProperties,
): void {
  const keys = (schema: TableDescription['KeySchema']) => schema.map((key) => key.AttributeName).join(', ')
  if (keys(existing.KeySchema) !== keys(KeySchema))
    throw new Error(
      `The stored table ${name} has the key (${keys(existing.KeySchema)}), the assembly says (${keys(KeySchema)}): ` +
        'a key cannot be changed, start with an empty data directory',
    )
  const names = (indexes: readonly { IndexName: string }[] = []) => indexes.map((index) => index.IndexName).join(', ')
  if (names(existing.LocalSecondaryIndexes) !== names(LocalSecondaryIndexes))
    throw new Error(`The local secondary indexes of ${name} cannot be changed: start with an empty data directory`)
}

async function updateIndexes(name: string, properties: TableProperties, store: Store): Promise<void> {
  const wanted = properties.GlobalSecondaryIndexes ?? []
  const { GlobalSecondaryIndexes: existing = [] } = store.table(name).description
  const existingDefinitions = existing.map(definition)
  const wantedDefinitions = wanted.map(definition)
  const dropped = existing.filter((index) => !wantedDefinitions.includes(definition(index)))
  const created = wanted.filter((index) => !existingDefinitions.includes(definition(index)))
  const { AttributeDefinitions } = properties
  for (const { IndexName } of dropped)
    await updateTable(store, { TableName: name, GlobalSecondaryIndexUpdates: [{ Delete: { IndexName } }] })
  for (const index of created)
    await updateTable(store, {
      TableName: name,
      AttributeDefinitions,
      GlobalSecondaryIndexUpdates: [{ Create: index }],
    })
}

/** Equal for indexes that hold the same. */
function definition({ IndexName, KeySchema, Projection }: z.infer<typeof Index> | IndexDescription): string {
  const keys = KeySchema.map((key) => key.AttributeName)
  return JSON.stringify([IndexName, keys, Projection.ProjectionType, [...(Projection.NonKeyAttributes ?? [])].sort()])
}

async function updateTtl(
  name: string,
  { TimeToLiveSpecification: wanted }: TableProperties,
  store: Store,
): Promise<void> {
  const attribute = wanted?.Enabled ? wanted.AttributeName : undefined
  const { ttlAttribute: existing } = store.table(name)
  if (existing === attribute) return
  const set = (AttributeName: string, Enabled: boolean) =>
    updateTimeToLive(store, { TableName: name, TimeToLiveSpecification: { AttributeName, Enabled } })
  if (existing !== undefined) await set(existing, false)
  if (attribute !== undefined) await set(attribute, true)
}
