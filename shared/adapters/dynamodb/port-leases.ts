/**
 * Ports of previews, as leases that a record holds (invariant 6). 40 items of 100 ports each: an item a port could not tell where
 * a free one is, one item for all would make 4,000 previews wait for each other. Parts of the transaction that changes the
 * record, so that a port is held exactly as long as its record says so.
 */
import { type DynamoDBDocumentClient, GetCommand, type TransactWriteCommandInput } from '@aws-sdk/lib-dynamodb'
import * as z from 'zod'
import { PREVIEW_PORTS } from '../../contracts/limits.ts'
import type { EnvironmentRef } from '../../domain/environments/schema.ts'
import { CorruptRecord } from '../../domain/errors.ts'
import type { Key } from './environment-keys.ts'

type TransactItem = NonNullable<TransactWriteCommandInput['TransactItems']>[number]

const PORTS_PER_SHARD = 100
const SHARDS = (PREVIEW_PORTS.max - PREVIEW_PORTS.min + 1) / PORTS_PER_SHARD

/** Attributes `p<port>`: the holder. */
const ShardSchema = z.record(z.string().regex(/^p\d{4}$/), z.string())

const shardKey = (shard: number): Key => ({ pk: `PORTS#${String(shard).padStart(2, '0')}`, sk: 'LEASES' })
const shardOf = (port: number): number => Math.floor((port - PREVIEW_PORTS.min) / PORTS_PER_SHARD)
const holderOf = ({ teamId, id }: EnvironmentRef): string => `${teamId}/${id}`

/**
 * A port that is free as far as is known now: the transaction that takes it decides. Undefined: all are taken.
 *
 * @param random In [0, 1).
 */
export async function freePort(
  client: DynamoDBDocumentClient,
  table: string,
  random: () => number = Math.random,
): Promise<number | undefined> {
  const first = Math.floor(random() * SHARDS)
  for (let n = 0; n < SHARDS; n++) {
    const shard = (first + n) % SHARDS
    const { Item = {} } = await client.send(
      new GetCommand({ TableName: table, Key: shardKey(shard), ConsistentRead: true }),
    )
    const { pk: _pk, sk: _sk, ...attributes } = Item
    const held = ShardSchema.safeParse(attributes)
    if (!held.success) throw new CorruptRecord(`port leases ${shardKey(shard).pk}: ${held.error.message}`)
    const ports = Array.from({ length: PORTS_PER_SHARD }, (_, i) => PREVIEW_PORTS.min + shard * PORTS_PER_SHARD + i)
    const free = ports.filter((port) => !(`p${port}` in held.data))
    const port = free[Math.floor(random() * free.length)]
    if (port !== undefined) return port
  }
  return undefined
}

/** Takes the lease, or fails the transaction: somebody else has it since. */
export function takePort(table: string, port: number, holder: EnvironmentRef): TransactItem {
  return {
    Update: {
      TableName: table,
      Key: shardKey(shardOf(port)),
      UpdateExpression: 'SET #port = :holder',
      ConditionExpression: 'attribute_not_exists(#port)',
      ExpressionAttributeNames: { '#port': `p${port}` },
      ExpressionAttributeValues: { ':holder': holderOf(holder) },
    },
  }
}

/** Gives the lease back. Only the holder does; one that is gone already is no reason to keep the record live. */
export function releasePort(table: string, port: number, holder: EnvironmentRef): TransactItem {
  return {
    Update: {
      TableName: table,
      Key: shardKey(shardOf(port)),
      UpdateExpression: 'REMOVE #port',
      ConditionExpression: 'attribute_not_exists(#port) OR #port = :holder',
      ExpressionAttributeNames: { '#port': `p${port}` },
      ExpressionAttributeValues: { ':holder': holderOf(holder) },
    },
  }
}
