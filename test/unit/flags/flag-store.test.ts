import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb'
import { BatchGetCommand, DynamoDBDocumentClient, PutCommand } from '@aws-sdk/lib-dynamodb'
import { mockClient } from 'aws-sdk-client-mock'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { TRANSLATION } from '../../../shared/adapters/dynamodb/document-client.ts'
import { createFlagStore } from '../../../shared/adapters/dynamodb/flag-store.ts'
import { Unavailable } from '../../../shared/domain/errors.ts'
import { startTables } from '../../support/local-tables.ts'

describe('the flag store on DynamoDB', () => {
  let local: Awaited<ReturnType<typeof startTables>>
  beforeAll(async () => {
    local = await startTables()
  })
  afterAll(() => local.close())

  it('answers what there is, and undefined for what there is not', async () => {
    const store = createFlagStore('flags', local.client)
    expect(await store.read('t1')).toEqual({ team: undefined, all: undefined })
    expect(await store.readAll()).toBeUndefined()
    const put = (Item: Record<string, unknown>) => local.client.send(new PutCommand({ TableName: 'flags', Item }))
    await put({ scope: 'all', agentSlots: 3 })
    await put({ scope: 'team#t1', useDockerAgents: false })
    await put({ scope: 'team#t2', useDockerAgents: true })
    expect(await store.read('t1')).toEqual({
      team: { scope: 'team#t1', useDockerAgents: false },
      all: { scope: 'all', agentSlots: 3 },
    })
    expect((await store.read('t3')).team).toBeUndefined()
    expect(await store.readAll()).toEqual({ scope: 'all', agentSlots: 3 })
  })

  it('reads an item in which somebody typed a number that JavaScript cannot hold', async () => {
    const item = {
      scope: { S: 'team#t9' },
      agentSlots: { N: '123456789012345678901.5' },
      useDockerAgents: { BOOL: false },
    }
    await local.client.send(new PutItemCommand({ TableName: 'flags', Item: item }))
    const store = createFlagStore('flags', DynamoDBDocumentClient.from(local.client, TRANSLATION))
    expect((await store.read('t9')).team).toEqual({
      scope: 'team#t9',
      agentSlots: 123456789012345680000,
      useDockerAgents: false,
    })
  })

  it('throws when the table is not there', async () => {
    await expect(createFlagStore('no-such-table', local.client).readAll()).rejects.toThrow()
  })
})

describe('the flag store under throttling', () => {
  const client = DynamoDBDocumentClient.from(new DynamoDBClient({ region: 'us-east-1' }))
  const dynamodb = mockClient(client)
  const store = createFlagStore('flags', client)
  afterEach(() => dynamodb.reset())
  const all = { scope: 'all', agentSlots: 3 }
  const team = { scope: 'team#t1', agentSlots: 4 }

  it('asks again for the keys that were left, and only for those', async () => {
    dynamodb
      .on(BatchGetCommand)
      .resolvesOnce({ Responses: { flags: [all] }, UnprocessedKeys: { flags: { Keys: [{ scope: 'team#t1' }] } } })
      .resolvesOnce({ Responses: { flags: [team] } })
    expect(await store.read('t1')).toEqual({ team, all })
    const [first, second] = dynamodb.commandCalls(BatchGetCommand).map((call) => call.args[0].input.RequestItems?.flags)
    expect(first).toEqual({ Keys: [{ scope: 'team#t1' }, { scope: 'all' }], ConsistentRead: true })
    expect(second).toEqual({ Keys: [{ scope: 'team#t1' }], ConsistentRead: true })
  })

  it('gives up after three calls', async () => {
    dynamodb.on(BatchGetCommand).resolves({ UnprocessedKeys: { flags: { Keys: [{ scope: 'all' }] } } })
    await expect(store.read('t1')).rejects.toThrow(Unavailable)
    expect(dynamodb.commandCalls(BatchGetCommand)).toHaveLength(3)
  })
})
