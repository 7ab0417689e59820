import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'

/** A client that does not retry, so that tests see the first answer. */
export function clientsOf(endpoint: string) {
  const client = new DynamoDBClient({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  })
  return { client, documents: DynamoDBDocumentClient.from(client) }
}

/** `CreateTable` of a table with the key `pk`, `sk`, an index with all attributes and one with keys only. */
export function tableDefinition(TableName: string) {
  const attributes = ['pk', 'sk', 'g1pk', 'g1sk', 'g2pk']
  return {
    TableName,
    BillingMode: 'PAY_PER_REQUEST' as const,
    AttributeDefinitions: attributes.map((AttributeName) => ({ AttributeName, AttributeType: 'S' as const })),
    KeySchema: [
      { AttributeName: 'pk', KeyType: 'HASH' as const },
      { AttributeName: 'sk', KeyType: 'RANGE' as const },
    ],
    GlobalSecondaryIndexes: [
      {
        IndexName: 'gsi1',
        KeySchema: [
          { AttributeName: 'g1pk', KeyType: 'HASH' as const },
          { AttributeName: 'g1sk', KeyType: 'RANGE' as const },
        ],
        Projection: { ProjectionType: 'ALL' as const },
      },
      {
        IndexName: 'gsi2',
        KeySchema: [{ AttributeName: 'g2pk', KeyType: 'HASH' as const }],
        Projection: { ProjectionType: 'KEYS_ONLY' as const },
      },
    ],
  }
}
