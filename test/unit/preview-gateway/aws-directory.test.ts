import { CreateTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
import { DynamoDBDocumentClient, GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb'
import { mockClient } from 'aws-sdk-client-mock'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AwsDirectory } from '../../../container-images/preview-gateway/src/aws-directory.ts'
import { createDynamoDb } from '../../../local/dynamodb/dynamodb.ts'
import { type PreviewDirectoryItem, previewKeys, WakePreviewSchema } from '../../../shared/contracts/previews.ts'
import { newPreviewLabel, newTicketId } from '../../../shared/domain/previews/signatures.ts'

const PREVIEW: PreviewDirectoryItem = {
  teamId: 'team',
  branch: 'workspace',
  environmentId: 'preview-1',
  status: 'running',
  idle: false,
  address: '10.0.1.2',
  port: 5000,
  public: false,
}
const CREDENTIALS = { region: 'us-east-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' } }

describe('the directory in DynamoDB', () => {
  let database: Awaited<ReturnType<typeof createDynamoDb>>
  let raw: DynamoDBClient
  let client: DynamoDBDocumentClient
  let directory: AwsDirectory

  beforeAll(async () => {
    database = await createDynamoDb()
    raw = new DynamoDBClient({ endpoint: database.url, ...CREDENTIALS })
    client = DynamoDBDocumentClient.from(raw)
    await raw.send(
      new CreateTableCommand({
        TableName: 'previews',
        BillingMode: 'PAY_PER_REQUEST',
        KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
        AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
      }),
    )
    directory = new AwsDirectory({ table: 'previews', queueUrl: 'https://sqs.example/work' }, raw)
  })
  afterAll(async () => {
    raw.destroy()
    await database.close()
  })

  const put = (label: string, item: object) =>
    client.send(new PutCommand({ TableName: 'previews', Item: { pk: previewKeys.label(label), ...item } }))

  it('knows what the control plane wrote, and says so when it cannot be read', async () => {
    const label = newPreviewLabel('workspace')
    expect(await directory.lookup(label)).toBeUndefined()
    await put(label, PREVIEW)
    expect(await directory.lookup(label)).toEqual(PREVIEW)
    await put(label, { ...PREVIEW, address: 'metadata.internal' })
    await expect(directory.lookup(label)).rejects.toThrow(/address/)
  })

  it('lets one of many use a ticket, and keeps that until the ticket is long expired', async () => {
    const id = newTicketId()
    const uses = await Promise.all(Array.from({ length: 10 }, () => directory.redeem(id, 1_700_000_000_000)))
    expect(uses.filter(Boolean)).toHaveLength(1)
    const { Item } = await client.send(new GetCommand({ TableName: 'previews', Key: { pk: previewKeys.ticket(id) } }))
    expect(Item?.expiresAt).toBe(1_700_003_600)
  })

  it('knows its own use of a ticket again when the first answer was lost and the SDK has repeated the write', async () => {
    const repeating = new DynamoDBClient({ endpoint: database.url, ...CREDENTIALS })
    repeating.middlewareStack.add(
      (next) => async (args) => {
        await next(args)
        return next(args)
      },
      { step: 'deserialize', priority: 'low' },
    )
    const unlucky = new AwsDirectory({ table: 'previews', queueUrl: 'https://sqs.example/work' }, repeating)
    const id = newTicketId()
    expect(await unlucky.redeem(id, 1)).toBe(true)
    expect(await unlucky.redeem(id, 1)).toBe(false)
    repeating.destroy()
  })

  it('notes a visit without bringing back what was removed', async () => {
    const label = newPreviewLabel('workspace')
    await directory.visited(label)
    expect(await directory.lookup(label)).toBeUndefined()
    await put(label, PREVIEW)
    const before = Date.now()
    await directory.visited(label)
    const item = await directory.lookup(label)
    expect(item?.lastVisitAt).toBeGreaterThanOrEqual(before)
    expect(item).toMatchObject(PREVIEW)
  })
})

describe('a waking', () => {
  it('is work in the queue', async () => {
    const sqs = mockClient(SQSClient)
    sqs.on(SendMessageCommand).resolves({})
    const directory = new AwsDirectory(
      { table: 'previews', queueUrl: 'https://sqs.example/work' },
      new DynamoDBClient(CREDENTIALS),
      new SQSClient(CREDENTIALS),
    )
    const label = newPreviewLabel('main')
    await directory.wake(label, PREVIEW)
    const [call] = sqs.commandCalls(SendMessageCommand)
    expect(call?.args[0].input.QueueUrl).toBe('https://sqs.example/work')
    expect(WakePreviewSchema.parse(JSON.parse(call?.args[0].input.MessageBody ?? ''))).toMatchObject({
      kind: 'wake-preview',
      label,
      teamId: 'team',
      environmentId: 'preview-1',
    })
    sqs.restore()
  })
})
