/** A directory table on a local DynamoDB, and what the control plane would write into it. */
import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { DynamoDBDocumentClient, PutCommand } from '@aws-sdk/lib-dynamodb'
import { createDynamoDb } from '../../../local/dynamodb/dynamodb.ts'
import { type PreviewDirectoryItem, previewKeys, previewsTable } from '../../../shared/contracts/previews.ts'

export const TABLE = 'previews'
export const CREDENTIALS = { region: 'us-east-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' } }

export async function startDirectoryTable() {
  const database = await createDynamoDb()
  const raw = new DynamoDBClient({ endpoint: database.url, ...CREDENTIALS })
  const client = DynamoDBDocumentClient.from(raw)
  await raw.send(
    new CreateTableCommand({
      TableName: TABLE,
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: [{ AttributeName: previewsTable.partitionKey, KeyType: 'HASH' }],
      AttributeDefinitions: [{ AttributeName: previewsTable.partitionKey, AttributeType: 'S' }],
    }),
  )
  return {
    url: database.url,
    raw,
    client,
    put: (label: string, item: Partial<PreviewDirectoryItem>) =>
      client.send(
        new PutCommand({ TableName: TABLE, Item: { [previewsTable.partitionKey]: previewKeys.label(label), ...item } }),
      ),
    async close() {
      raw.destroy()
      await database.close()
    },
  }
}

/** The program's variables, for this table. */
export const programEnv = (databaseUrl: string, secret: string, appOrigin: string, domain: string) => ({
  PREVIEWS_TABLE: TABLE,
  WORK_QUEUE_URL: 'http://127.0.0.1:1/work',
  PREVIEW_DOMAIN: domain,
  APP_ORIGIN: appOrigin,
  PREVIEW_SECRET: secret,
  PORT: '0',
  HEALTH_PORT: '0',
  HOST: '127.0.0.1',
  AWS_ENDPOINT_URL_DYNAMODB: databaseUrl,
  AWS_REGION: CREDENTIALS.region,
  AWS_ACCESS_KEY_ID: 'test',
  AWS_SECRET_ACCESS_KEY: 'test',
})
