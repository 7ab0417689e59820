import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { CreateTableCommand } from '@aws-sdk/client-dynamodb'
import { GetCommand, PutCommand, QueryCommand, TransactWriteCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { loadAssembly } from '../../../../local/assembly/cloud-assembly.ts'
import { createDynamoDb, type DynamoDb } from '../../../../local/dynamodb/dynamodb.ts'
import { clientsOf, tableDefinition } from './table.ts'

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'dynamodb-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** A cloud assembly with one table. */
function assemblyOf(properties: object) {
  const directory = temporaryDirectory()
  const write = (file: string, content: object) => writeFileSync(join(directory, file), JSON.stringify(content))
  const templateFile = 'App.template.json'
  write('manifest.json', { artifacts: { App: { type: 'aws:cloudformation:stack', properties: { templateFile } } } })
  write(templateFile, { Resources: { Teams: { Type: 'AWS::DynamoDB::GlobalTable', Properties: properties } } })
  return loadAssembly(directory, { endpoints: { api: () => 'http://unused' } })
}

const base = {
  TableName: 'teams',
  AttributeDefinitions: [
    { AttributeName: 'pk', AttributeType: 'S' },
    { AttributeName: 'status', AttributeType: 'S' },
  ],
  KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
}
const index = (IndexName: string, ProjectionType = 'ALL') => ({
  IndexName,
  KeySchema: [{ AttributeName: 'status', KeyType: 'HASH' }],
  Projection: { ProjectionType },
})

async function countIn(db: DynamoDb, IndexName: string): Promise<number> {
  const query = new QueryCommand({
    TableName: 'teams',
    IndexName,
    KeyConditionExpression: '#s = :s',
    ExpressionAttributeNames: { '#s': 'status' },
    ExpressionAttributeValues: { ':s': 'running' },
  })
  return (await clientsOf(db.url).documents.send(query)).Count ?? 0
}

describe('createTables', () => {
  it('keeps items over a restart and brings indexes and TTL to what the assembly says', async () => {
    const directory = temporaryDirectory()
    const withIndexes = (...GlobalSecondaryIndexes: object[]) => ({ ...base, GlobalSecondaryIndexes })
    const first = await createDynamoDb({ directory })
    expect(await first.createTables(assemblyOf(withIndexes(index('by-a'), index('by-b'))))).toEqual(['teams'])
    const Item = { pk: '1', status: 'running', expires: 1 + Math.floor(Date.now() / 1000) - 60 }
    await clientsOf(first.url).documents.send(new PutCommand({ TableName: 'teams', Item }))
    await first.createTables(assemblyOf(withIndexes(index('by-a'), index('by-b'))))
    await first.close()

    const second = await createDynamoDb({ directory, sweepIntervalMs: 1e9 })
    onTestFinished(() => second.close())
    const TimeToLiveSpecification = { AttributeName: 'expires', Enabled: true }
    const changed = {
      ...withIndexes(index('by-a'), index('by-b', 'KEYS_ONLY'), index('by-c')),
      TimeToLiveSpecification,
    }
    await second.createTables(assemblyOf(changed))
    for (const name of ['by-a', 'by-b', 'by-c']) expect(await countIn(second, name)).toBe(1)
    await second.createTables(assemblyOf({ ...withIndexes(index('by-a')), TimeToLiveSpecification }))
    await expect(countIn(second, 'by-c')).rejects.toMatchObject({ name: 'ValidationException' })
    expect(await second.sweep()).toBe(1)
    expect(await countIn(second, 'by-a')).toBe(0)
  })

  it.each([
    [
      'another key',
      { ...base, KeySchema: [{ AttributeName: 'status', KeyType: 'HASH' }] },
      /has the key \(pk\), the assembly says \(status\)/,
    ],
    ['a stream', { ...base, StreamSpecification: { StreamViewType: 'NEW_IMAGE' } }, /teams has a stream/],
  ])('refuses %s', async (_, properties, message) => {
    const db = await createDynamoDb()
    onTestFinished(() => db.close())
    await db.createTables(assemblyOf({ ...base, GlobalSecondaryIndexes: [index('by-a')] }))
    await expect(db.createTables(assemblyOf(properties))).rejects.toThrow(message)
  })
})

describe('the data directory', () => {
  it('belongs to one process at a time', async () => {
    const directory = temporaryDirectory()
    const db = await createDynamoDb({ directory })
    onTestFinished(() => db.close())
    await expect(createDynamoDb({ directory })).rejects.toThrow(`cannot open ${directory}`)
  })

  it('has all of a transaction or nothing after the process was killed', async () => {
    const directory = temporaryDirectory()
    const script = join(directory, 'serve.ts')
    const module = resolve('local/dynamodb/dynamodb.ts')
    writeFileSync(
      script,
      `import { createDynamoDb } from ${JSON.stringify(module)}
      console.log((await createDynamoDb({ directory: ${JSON.stringify(join(directory, 'data'))} })).url)`,
    )
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    const [url] = await once(child.stdout, 'data')
    const { client, documents } = clientsOf(String(url).trim())
    await client.send(new CreateTableCommand(tableDefinition('crash')))
    const transaction = (n: number) =>
      new TransactWriteCommand({
        TransactItems: Array.from({ length: 20 }, (_, i) => ({
          Put: { TableName: 'crash', Item: { pk: `${n}`, sk: `${i}`, g1pk: `${n}`, g1sk: `${i}`, g2pk: `${n}` } },
        })),
      })
    let committed = 0
    const writing = (async () => {
      for (let n = 0; ; n++) {
        await documents.send(transaction(n))
        committed = n + 1
        if (committed === 5) child.kill('SIGKILL')
      }
    })()
    await expect(writing).rejects.toThrow()
    const db = await createDynamoDb({ directory: join(directory, 'data') })
    onTestFinished(() => db.close())
    const reopened = clientsOf(db.url).documents
    const count = async (n: number, IndexName?: string) => {
      const key = IndexName === 'gsi1' ? 'g1pk' : IndexName === 'gsi2' ? 'g2pk' : 'pk'
      const page = await reopened.send(
        new QueryCommand({
          TableName: 'crash',
          IndexName,
          KeyConditionExpression: `${key} = :n`,
          ExpressionAttributeValues: { ':n': `${n}` },
        }),
      )
      return page.Count
    }
    for (let n = 0; n <= committed; n++) {
      const counts = [await count(n), await count(n, 'gsi1'), await count(n, 'gsi2')]
      expect([[20, 20, 20], ...(n === committed ? [[0, 0, 0]] : [])]).toContainEqual(counts)
    }
  })
})

describe('a client token', () => {
  it('is known after a restart, and forgotten after ten minutes', async () => {
    const directory = temporaryDirectory()
    const first = await createDynamoDb({ directory })
    await clientsOf(first.url).client.send(new CreateTableCommand(tableDefinition('tokens')))
    const add = async (db: DynamoDb, by: number) => {
      const Update = {
        TableName: 'tokens',
        Key: { pk: 'a', sk: '1' },
        UpdateExpression: 'ADD n :by',
        ExpressionAttributeValues: { ':by': by },
      }
      const { documents } = clientsOf(db.url)
      await documents.send(new TransactWriteCommand({ ClientRequestToken: 'token', TransactItems: [{ Update }] }))
      return (await documents.send(new GetCommand({ TableName: 'tokens', Key: Update.Key }))).Item?.n
    }
    expect(await add(first, 1)).toBe(1)
    await first.close()
    const second = await createDynamoDb({ directory, sweepIntervalMs: 1e9 })
    onTestFinished(() => second.close())
    expect(await add(second, 1)).toBe(1)
    await expect(add(second, 2)).rejects.toMatchObject({ name: 'IdempotentParameterMismatchException' })
    const now = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 11 * 60_000)
    onTestFinished(() => now.mockRestore())
    await second.sweep()
    expect(await add(second, 2)).toBe(3)
  })
})

describe('usage', () => {
  it('counts requests and units, with index writes, and gives the consumed capacity when asked', async () => {
    const db = await createDynamoDb()
    onTestFinished(() => db.close())
    const { client, documents } = clientsOf(db.url)
    const TableName = 'usage'
    await client.send(new CreateTableCommand(tableDefinition(TableName)))
    const Item = { pk: 'a', sk: '1', g1pk: 'x', g1sk: '1', padding: 'z'.repeat(1500) }
    const { ConsumedCapacity } = await documents.send(
      new PutCommand({ TableName, Item, ReturnConsumedCapacity: 'INDEXES' }),
    )
    expect(ConsumedCapacity).toEqual({
      TableName,
      CapacityUnits: 4,
      Table: { CapacityUnits: 2 },
      GlobalSecondaryIndexes: { gsi1: { CapacityUnits: 2 } },
    })
    await documents.send(new PutCommand({ TableName, Item })) // the index entry stays as it is
    const Key = { pk: 'a', sk: '1' }
    const read = await documents.send(new GetCommand({ TableName, Key, ConsistentRead: true }))
    expect(read.ConsumedCapacity).toBeUndefined()
    await documents.send(new GetCommand({ TableName, Key }))
    const failing = new UpdateCommand({
      TableName,
      Key,
      UpdateExpression: 'REMOVE padding',
      ConditionExpression: 'attribute_not_exists(pk)',
    })
    await expect(documents.send(failing)).rejects.toThrow()
    await documents.send(
      new TransactWriteCommand({ TransactItems: [{ Put: { TableName, Item: { pk: 'b', sk: '1' } } }] }),
    )
    expect(db.usage()).toEqual({
      usage: {
        requests: { PutItem: 2, GetItem: 2, UpdateItem: 1, TransactWriteItems: 1 },
        readUnits: 1.5,
        writeUnits: 4 + 2 + 2 + 2,
      },
    })
    db.resetUsage()
    expect(db.usage()).toEqual({})
  })
})
