import {
  CreateTableCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  GetItemCommand,
  PutItemCommand,
  UpdateTableCommand,
  UpdateTimeToLiveCommand,
} from '@aws-sdk/client-dynamodb'
import {
  BatchGetCommand,
  BatchWriteCommand,
  GetCommand,
  PutCommand,
  QueryCommand,
  type QueryCommandInput,
  ScanCommand,
  type ScanCommandOutput,
  TransactGetCommand,
  TransactWriteCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createDynamoDb, type DynamoDb } from '../../../../local/dynamodb/dynamodb.ts'
import { clientsOf, tableDefinition } from './table.ts'

// What the control plane relies on, checked over the wire with the real client. DYNAMODB_URL runs it against another
// implementation, such as DynamoDB Local.
const TableName = `conformance-${process.pid}`
let local: DynamoDb | undefined
let { client, documents } = clientsOf('http://127.0.0.1:1')

beforeAll(async () => {
  if (!process.env.DYNAMODB_URL) local = await createDynamoDb({ sweepIntervalMs: 20 })
  ;({ client, documents } = clientsOf(process.env.DYNAMODB_URL ?? local?.url ?? ''))
  await client.send(new CreateTableCommand(tableDefinition(TableName)))
})
afterAll(() => local?.close())

type Document = Record<string, unknown>
const put = (Item: Document, others: object = {}) => documents.send(new PutCommand({ TableName, Item, ...others }))
const get = async (pk: string, sk: string) =>
  (await documents.send(new GetCommand({ TableName, Key: { pk, sk }, ConsistentRead: true }))).Item
const update = (pk: string, sk: string, others: object) =>
  documents.send(new UpdateCommand({ TableName, Key: { pk, sk }, ReturnValues: 'ALL_NEW', ...others }))

async function queryAll(query: Omit<QueryCommandInput, 'TableName'>): Promise<{ items: Document[]; pages: number }> {
  const items: Document[] = []
  let pages = 0
  let ExclusiveStartKey: Document | undefined
  do {
    const page = await documents.send(new QueryCommand({ TableName, ...query, ExclusiveStartKey }))
    items.push(...(page.Items ?? []))
    pages++
    ExclusiveStartKey = page.LastEvaluatedKey
  } while (ExclusiveStartKey)
  return { items, pages }
}

describe('tables', () => {
  it('describes indexes and billing', async () => {
    const { Table } = await client.send(new DescribeTableCommand({ TableName }))
    expect(Table).toMatchObject({ TableStatus: 'ACTIVE', BillingModeSummary: { BillingMode: 'PAY_PER_REQUEST' } })
    expect(Table?.GlobalSecondaryIndexes?.map((index) => index.IndexName)).toEqual(['gsi1', 'gsi2'])
  })

  it('adds and drops an index, filling it from the items', async () => {
    await put({ pk: 'fill', sk: '1', g3: 'x' })
    await put({ pk: 'fill', sk: '2' })
    const Create = {
      IndexName: 'gsi3',
      KeySchema: [{ AttributeName: 'g3', KeyType: 'HASH' as const }],
      Projection: { ProjectionType: 'ALL' as const },
    }
    const AttributeDefinitions = [{ AttributeName: 'g3', AttributeType: 'S' as const }]
    await client.send(
      new UpdateTableCommand({ TableName, AttributeDefinitions, GlobalSecondaryIndexUpdates: [{ Create }] }),
    )
    await put({ pk: 'fill', sk: '3', g3: 'x' })
    const query = { IndexName: 'gsi3', KeyConditionExpression: 'g3 = :x', ExpressionAttributeValues: { ':x': 'x' } }
    expect((await queryAll(query)).items.map(({ sk }) => sk).sort()).toEqual(['1', '3'])
    const GlobalSecondaryIndexUpdates = [{ Delete: { IndexName: 'gsi3' } }]
    await client.send(new UpdateTableCommand({ TableName, GlobalSecondaryIndexUpdates }))
    await expect(queryAll(query)).rejects.toMatchObject({ name: 'ValidationException' })
  })

  it('refuses a table twice and a table that is not there', async () => {
    const again = client.send(new CreateTableCommand(tableDefinition(TableName)))
    await expect(again).rejects.toMatchObject({ name: 'ResourceInUseException' })
    const missing = documents.send(new GetCommand({ TableName: 'missing', Key: { pk: 'a' } }))
    await expect(missing).rejects.toMatchObject({ name: 'ResourceNotFoundException' })
  })
})

describe('conditional writes', () => {
  it('puts an item once', async () => {
    const ConditionExpression = 'attribute_not_exists(pk)'
    await put({ pk: 'once', sk: '1', version: 1 }, { ConditionExpression })
    await expect(put({ pk: 'once', sk: '1' }, { ConditionExpression })).rejects.toMatchObject({
      name: 'ConditionalCheckFailedException',
      message: 'The conditional request failed',
    })
    expect(await get('once', '1')).toEqual({ pk: 'once', sk: '1', version: 1 })
  })

  it.each([
    [
      'Put',
      () =>
        put(
          { pk: 'old', sk: '1' },
          { ConditionExpression: 'attribute_not_exists(pk)', ReturnValuesOnConditionCheckFailure: 'ALL_OLD' },
        ),
    ],
    [
      'Update',
      () =>
        update('old', '1', {
          UpdateExpression: 'SET n = :n',
          ConditionExpression: 'n > :n',
          ExpressionAttributeValues: { ':n': 9 },
          ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
        }),
    ],
  ])('%s gives back the item that failed the condition', async (_, write) => {
    await put({ pk: 'old', sk: '1', n: 1 })
    await expect(write()).rejects.toMatchObject({ Item: { pk: { S: 'old' }, sk: { S: '1' }, n: { N: '1' } } })
  })

  it('compares a version', async () => {
    await put({ pk: 'version', sk: '1', version: 1 })
    const set = (condition: string, next: number) =>
      update('version', '1', {
        UpdateExpression: 'SET #v = :n',
        ConditionExpression: condition,
        ExpressionAttributeNames: { '#v': 'version' },
        ExpressionAttributeValues: { ':n': next },
      })
    await expect(set('#v > :n', 5)).rejects.toMatchObject({ name: 'ConditionalCheckFailedException' })
    expect((await set('#v < :n', 6)).Attributes).toMatchObject({ version: 6 })
  })

  it('refuses to compare documents rather than answer wrongly', async () => {
    const compare = { ConditionExpression: 'm = :m', ExpressionAttributeValues: { ':m': { a: 1 } } }
    await expect(put({ pk: 'doc', sk: '1' }, compare)).rejects.toMatchObject({ name: 'ValidationException' })
  })
})

describe('update expressions', () => {
  it('adds, appends, removes and nests', async () => {
    const first = await update('expr', '1', {
      UpdateExpression:
        'ADD cnt :one, ss :set SET tags = list_append(if_not_exists(tags, :empty), :list), n = if_not_exists(n, :zero) + :one, m = :map',
      ExpressionAttributeValues: {
        ':one': 1,
        ':set': new Set(['x', 'y']),
        ':empty': [],
        ':list': ['t1'],
        ':zero': 0,
        ':map': { a: { b: 1 } },
      },
    })
    expect(first.Attributes).toMatchObject({ cnt: 1, tags: ['t1'], n: 1, ss: new Set(['x', 'y']) })
    const second = await update('expr', '1', {
      UpdateExpression: 'SET m.a.b = m.a.b + :one REMOVE tags[0] DELETE ss :d',
      ExpressionAttributeValues: { ':one': 1, ':d': new Set(['x']) },
    })
    expect(second.Attributes).toMatchObject({ m: { a: { b: 2 } }, tags: [], ss: new Set(['y']) })
  })

  it('creates the item that is not there', async () => {
    const values = { UpdateExpression: 'ADD c :one', ExpressionAttributeValues: { ':one': 1 } }
    expect((await update('upsert', '1', values)).Attributes).toEqual({ pk: 'upsert', sk: '1', c: 1 })
  })
})

describe('reading many', () => {
  beforeAll(async () => {
    const items = Array.from({ length: 100 }, (_, i) => ({
      pk: 'many',
      sk: String(i).padStart(4, '0'),
      g1pk: 'G',
      g1sk: String(999 - i).padStart(4, '0'),
      g2pk: 'H',
      even: i % 2 === 0,
      padding: 'x'.repeat(1000),
    }))
    for (let start = 0; start < 100; start += 25) {
      const requests = items.slice(start, start + 25).map((Item) => ({ PutRequest: { Item } }))
      const { UnprocessedItems } = await documents.send(
        new BatchWriteCommand({ RequestItems: { [TableName]: requests } }),
      )
      expect(UnprocessedItems).toEqual({})
    }
  })
  const many = { KeyConditionExpression: 'pk = :p', ExpressionAttributeValues: { ':p': 'many' } }

  it('gets a batch', async () => {
    const Keys = [
      { pk: 'many', sk: '0000' },
      { pk: 'many', sk: '0099' },
      { pk: 'many', sk: 'none' },
    ]
    const { Responses } = await documents.send(new BatchGetCommand({ RequestItems: { [TableName]: { Keys } } }))
    expect(Responses?.[TableName]?.map(({ sk }) => sk).sort()).toEqual(['0000', '0099'])
  })

  it('pages backwards', async () => {
    const { items, pages } = await queryAll({ ...many, Limit: 7, ScanIndexForward: false })
    expect(items).toHaveLength(100)
    expect(items[0]?.sk).toBe('0099')
    expect(pages).toBe(15)
  })

  it.each([
    ['begins_with', 'begins_with(sk, :a)', { ':a': '001' }, 10],
    ['between', 'sk BETWEEN :a AND :b', { ':a': '0010', ':b': '0019' }, 10],
    ['less', 'sk < :a', { ':a': '0010' }, 10],
    ['at least', 'sk >= :a', { ':a': '0090' }, 10],
  ])('limits the sort key by %s', async (_, condition, values, count) => {
    const { items } = await queryAll({
      KeyConditionExpression: `pk = :p AND ${condition}`,
      ExpressionAttributeValues: { ':p': 'many', ...values },
    })
    expect(items).toHaveLength(count)
  })

  it('pages an index with filter and projection', async () => {
    const { items } = await queryAll({
      IndexName: 'gsi1',
      KeyConditionExpression: 'g1pk = :p',
      FilterExpression: 'even = :t AND contains(padding, :x)',
      ProjectionExpression: 'pk, sk, g1sk',
      ExpressionAttributeValues: { ':p': 'G', ':t': true, ':x': 'xx' },
      Limit: 9,
    })
    expect(items).toHaveLength(50)
    const order = items.map(({ g1sk }) => String(g1sk))
    expect(order).toEqual([...order].sort())
    expect(Object.keys(items[0] ?? {}).sort()).toEqual(['g1sk', 'pk', 'sk'])
  })

  it('gives only the keys of a KEYS_ONLY index, however many share its key', async () => {
    const query = {
      IndexName: 'gsi2',
      KeyConditionExpression: 'g2pk = :p',
      ExpressionAttributeValues: { ':p': 'H' },
      Limit: 30,
    }
    const { items } = await queryAll(query)
    expect(new Set(items.map(({ sk }) => sk)).size).toBe(100)
    expect(Object.keys(items[0] ?? {}).sort()).toEqual(['g2pk', 'pk', 'sk'])
  })

  it('ends a page at 1 MB', async () => {
    for (let i = 0; i < 10; i++) await put({ pk: 'big', sk: String(i), v: 'z'.repeat(200_000) })
    const { items, pages } = await queryAll({
      KeyConditionExpression: 'pk = :p',
      ExpressionAttributeValues: { ':p': 'big' },
    })
    expect(items).toHaveLength(10)
    expect(pages).toBeGreaterThanOrEqual(2)
  })

  it('scans in segments', async () => {
    const seen = new Set<unknown>()
    for (const Segment of [0, 1, 2]) {
      let ExclusiveStartKey: Document | undefined
      do {
        const page: ScanCommandOutput = await documents.send(
          new ScanCommand({
            TableName,
            FilterExpression: 'pk = :p',
            ExpressionAttributeValues: { ':p': 'many' },
            Segment,
            TotalSegments: 3,
            ExclusiveStartKey,
          }),
        )
        for (const { sk } of page.Items ?? []) seen.add(sk)
        ExclusiveStartKey = page.LastEvaluatedKey
      } while (ExclusiveStartKey)
    }
    expect(seen.size).toBe(100)
  })
})

describe('transactions', () => {
  it('writes, checks and deletes together', async () => {
    await put({ pk: 'tx', sk: 'gone' })
    await put({ pk: 'tx', sk: 'checked' })
    await documents.send(
      new TransactWriteCommand({
        TransactItems: [
          {
            Put: {
              TableName,
              Item: { pk: 'tx', sk: '1', v: 1, g1pk: 'TX', g1sk: '1' },
              ConditionExpression: 'attribute_not_exists(pk)',
            },
          },
          {
            Update: {
              TableName,
              Key: { pk: 'tx', sk: '2' },
              UpdateExpression: 'ADD c :o',
              ExpressionAttributeValues: { ':o': 1 },
            },
          },
          {
            ConditionCheck: {
              TableName,
              Key: { pk: 'tx', sk: 'checked' },
              ConditionExpression: 'attribute_exists(pk)',
            },
          },
          { Delete: { TableName, Key: { pk: 'tx', sk: 'gone' } } },
        ],
      }),
    )
    expect(await get('tx', '1')).toMatchObject({ v: 1 })
    expect(await get('tx', '2')).toMatchObject({ c: 1 })
    expect(await get('tx', 'gone')).toBeUndefined()
    const query = { IndexName: 'gsi1', KeyConditionExpression: 'g1pk = :p', ExpressionAttributeValues: { ':p': 'TX' } }
    expect((await queryAll(query)).items).toHaveLength(1)
  })

  it('is cancelled as a whole, with a reason for each action', async () => {
    await put({ pk: 'tx', sk: 'there', v: 7 })
    const failure = documents.send(
      new TransactWriteCommand({
        TransactItems: [
          { Put: { TableName, Item: { pk: 'tx', sk: '9' } } },
          {
            Put: {
              TableName,
              Item: { pk: 'tx', sk: 'there' },
              ConditionExpression: 'attribute_not_exists(pk)',
              ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
            },
          },
          { Delete: { TableName, Key: { pk: 'tx', sk: 'none' }, ConditionExpression: 'attribute_exists(pk)' } },
        ],
      }),
    )
    await expect(failure).rejects.toMatchObject({
      name: 'TransactionCanceledException',
      message: expect.stringContaining('[None, ConditionalCheckFailed, ConditionalCheckFailed]'),
      CancellationReasons: [
        { Code: 'None' },
        { Code: 'ConditionalCheckFailed', Item: { v: { N: '7' } } },
        { Code: 'ConditionalCheckFailed' },
      ],
    })
    expect(await get('tx', '9')).toBeUndefined()
  })

  it('is done once for one client token', async () => {
    const send = (by: number) =>
      documents.send(
        new TransactWriteCommand({
          ClientRequestToken: `token-${process.pid}`,
          TransactItems: [
            {
              Update: {
                TableName,
                Key: { pk: 'tx', sk: 'token' },
                UpdateExpression: 'ADD c :o',
                ExpressionAttributeValues: { ':o': by },
              },
            },
          ],
        }),
      )
    await send(1)
    await send(1)
    expect(await get('tx', 'token')).toMatchObject({ c: 1 })
    await expect(send(2)).rejects.toMatchObject({ name: 'IdempotentParameterMismatchException' })
  })

  it.each([
    [
      'one item twice',
      [{ Put: { TableName, Item: { pk: 'a', sk: '1' } } }, { Delete: { TableName, Key: { pk: 'a', sk: '1' } } }],
      'multiple operations on one item',
    ],
    [
      'more than 100 actions',
      Array.from({ length: 101 }, (_, i) => ({ Put: { TableName, Item: { pk: 'a', sk: `${i}` } } })),
      'less than or equal to 100',
    ],
  ])('refuses %s', async (_, TransactItems, message) => {
    const failure = documents.send(new TransactWriteCommand({ TransactItems }))
    await expect(failure).rejects.toMatchObject({
      name: 'ValidationException',
      message: expect.stringContaining(message),
    })
  })

  it('takes 100 actions', async () => {
    const TransactItems = Array.from({ length: 100 }, (_, i) => ({
      Put: { TableName, Item: { pk: 'hundred', sk: `${i}` } },
    }))
    await documents.send(new TransactWriteCommand({ TransactItems }))
    expect(await get('hundred', '99')).toBeDefined()
  })

  it('reads together', async () => {
    await put({ pk: 'txget', sk: '1', v: 1 })
    const TransactItems = ['1', 'none'].map((sk) => ({ Get: { TableName, Key: { pk: 'txget', sk } } }))
    const { Responses } = await documents.send(new TransactGetCommand({ TransactItems }))
    expect(Responses).toEqual([{ Item: { pk: 'txget', sk: '1', v: 1 } }, {}])
  })
})

describe('validation', () => {
  it.each([
    ['an item over 400 KB', () => put({ pk: 'v', sk: '1', v: 'z'.repeat(410_000) })],
    [
      'a reserved word',
      () => update('v', '1', { UpdateExpression: 'SET status = :n', ExpressionAttributeValues: { ':n': 1 } }),
    ],
    ['an empty key', () => put({ pk: '', sk: 'x' })],
    ['an empty index key', () => put({ pk: 'v', sk: 'x', g2pk: '' })],
    [
      'an index key of another type',
      () => update('v', '1', { UpdateExpression: 'SET g2pk = :n', ExpressionAttributeValues: { ':n': 1 } }),
    ],
    ['a missing sort key', () => put({ pk: 'v' })],
  ])('refuses %s', async (_, write) => {
    await expect(write()).rejects.toMatchObject({ name: 'ValidationException' })
  })

  it('takes an empty string that is no key, and 38 digits', async () => {
    const n = '12345678901234567890123456789012345678'
    const Item = { pk: { S: 'exact' }, sk: { S: '1' }, n: { N: n }, s: { S: '' } }
    await client.send(new PutItemCommand({ TableName, Item }))
    const Key = { pk: { S: 'exact' }, sk: { S: '1' } }
    expect((await client.send(new GetItemCommand({ TableName, Key }))).Item).toEqual(Item)
  })
})

describe('time to live', () => {
  it('deletes expired items, from the index too, and those that were there before', async () => {
    const past = Math.floor(Date.now() / 1000) - 10
    await put({ pk: 'ttl', sk: 'before', ttl: past })
    const TimeToLiveSpecification = { AttributeName: 'ttl', Enabled: true }
    await client.send(new UpdateTimeToLiveCommand({ TableName, TimeToLiveSpecification }))
    const { TimeToLiveDescription } = await client.send(new DescribeTimeToLiveCommand({ TableName }))
    expect(TimeToLiveDescription).toEqual({ TimeToLiveStatus: 'ENABLED', AttributeName: 'ttl' })
    await put({ pk: 'ttl', sk: 'after', ttl: past, g1pk: 'TTL', g1sk: '1' })
    await put({ pk: 'ttl', sk: 'later', ttl: past + 1_000 })
    await put({ pk: 'ttl', sk: 'text', ttl: String(past) })
    await vi.waitFor(
      async () => {
        const { items } = await queryAll({
          KeyConditionExpression: 'pk = :p',
          ExpressionAttributeValues: { ':p': 'ttl' },
        })
        expect(items.map(({ sk }) => sk)).toEqual(['later', 'text'])
      },
      { timeout: process.env.DYNAMODB_URL ? 90_000 : 5_000 },
    )
    const query = { IndexName: 'gsi1', KeyConditionExpression: 'g1pk = :p', ExpressionAttributeValues: { ':p': 'TTL' } }
    expect((await queryAll(query)).items).toEqual([])
  })
})
