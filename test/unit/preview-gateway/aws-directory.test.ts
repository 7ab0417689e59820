import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs'
import { GetCommand } from '@aws-sdk/lib-dynamodb'
import { mockClient } from 'aws-sdk-client-mock'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AwsDirectory } from '../../../container-images/preview-gateway/src/aws-directory.ts'
import { type PreviewDirectoryItem, previewKeys, WakePreviewSchema } from '../../../shared/contracts/previews.ts'
import { newPreviewLabel, newTicketId } from '../../../shared/domain/previews/signatures.ts'
import { CREDENTIALS, startDirectoryTable, TABLE } from './directory-table.ts'

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

describe('the directory in DynamoDB', () => {
  let table: Awaited<ReturnType<typeof startDirectoryTable>>
  let directory: AwsDirectory

  beforeAll(async () => {
    table = await startDirectoryTable()
    directory = new AwsDirectory({ table: TABLE, queueUrl: 'https://sqs.example/work' }, table.raw)
  })
  afterAll(() => table.close())

  it('knows what the control plane wrote, and says so when it cannot be read', async () => {
    const label = newPreviewLabel('workspace')
    expect(await directory.lookup(label)).toBeUndefined()
    await table.put(label, PREVIEW)
    expect(await directory.lookup(label)).toEqual(PREVIEW)
    await table.put(label, { ...PREVIEW, address: 'metadata.internal' })
    await expect(directory.lookup(label)).rejects.toThrow(/address/)
  })

  it('lets one of many use a ticket, and keeps that until the ticket is long expired', async () => {
    const id = newTicketId()
    const uses = await Promise.all(Array.from({ length: 10 }, () => directory.redeem(id, 1_700_000_000_000)))
    expect(uses.filter(Boolean)).toHaveLength(1)
    const { Item } = await table.client.send(new GetCommand({ TableName: TABLE, Key: { pk: previewKeys.ticket(id) } }))
    expect(Item?.expiresAt).toBe(1_700_003_600)
  })

  it('knows its own use of a ticket again when the first answer was lost and the SDK has repeated the write', async () => {
    const repeating = new DynamoDBClient({ endpoint: table.url, ...CREDENTIALS })
    repeating.middlewareStack.add(
      (next) => async (args) => {
        await next(args)
        return next(args)
      },
      { step: 'deserialize', priority: 'low' },
    )
    const unlucky = new AwsDirectory({ table: TABLE, queueUrl: 'https://sqs.example/work' }, repeating)
    const id = newTicketId()
    expect(await unlucky.redeem(id, 1)).toBe(true)
    expect(await unlucky.redeem(id, 1)).toBe(false)
    repeating.destroy()
  })

  it('notes a visit without bringing back what was removed', async () => {
    const label = newPreviewLabel('workspace')
    await directory.visited(label)
    expect(await directory.lookup(label)).toBeUndefined()
    await table.put(label, PREVIEW)
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
      { table: TABLE, queueUrl: 'https://sqs.example/work' },
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
