/** The contracts' tables on a local DynamoDB in memory. */
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { createDynamoDb } from '../../local/dynamodb/dynamodb.ts'
import { type TableContract, tables } from '../../shared/contracts/tables.ts'

export async function startTables() {
  const dynamodb = await createDynamoDb()
  const raw = new DynamoDBClient({
    endpoint: dynamodb.url,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  })
  const client = DynamoDBDocumentClient.from(raw, { marshallOptions: { removeUndefinedValues: true } })
  for (const [name, contract] of Object.entries<TableContract>(tables)) await raw.send(createTable(name, contract))
  return {
    client,
    dynamodb,
    async close() {
      raw.destroy()
      await dynamodb.close()
    },
  }
}

function createTable(name: string, { partitionKey, sortKey, indexes }: TableContract): CreateTableCommand {
  const keys = (hash: string, range?: string) => [
    { AttributeName: hash, KeyType: 'HASH' as const },
    ...(range ? [{ AttributeName: range, KeyType: 'RANGE' as const }] : []),
  ]
  const attributes = new Set([partitionKey, ...(sortKey ? [sortKey] : [])])
  for (const index of Object.values(indexes))
    for (const key of [index.partitionKey, index.sortKey]) if (key) attributes.add(key)
  return new CreateTableCommand({
    TableName: name,
    BillingMode: 'PAY_PER_REQUEST',
    KeySchema: keys(partitionKey, sortKey),
    AttributeDefinitions: [...attributes].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
    ...(Object.keys(indexes).length > 0
      ? {
          GlobalSecondaryIndexes: Object.entries(indexes).map(([IndexName, index]) => ({
            IndexName,
            KeySchema: keys(index.partitionKey, index.sortKey),
            Projection:
              typeof index.projection === 'string'
                ? { ProjectionType: index.projection }
                : { ProjectionType: 'INCLUDE' as const, NonKeyAttributes: [...index.projection] },
          })),
        }
      : {}),
  })
}
