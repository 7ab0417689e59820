/**
 * Slots of a team's quota, as leases that a record holds (invariant 6): an item each. Parts of the transaction that changes the record, so that
 * a slot is held exactly as long as its record says so.
 */
import { type DynamoDBDocumentClient, QueryCommand, type TransactWriteCommandInput } from '@aws-sdk/lib-dynamodb'
import type { Environment, EnvironmentType } from '../../domain/environments/schema.ts'
import { slotKey, slotPrefix, teamPartition } from './environment-keys.ts'

type TransactItem = NonNullable<TransactWriteCommandInput['TransactItems']>[number]

/** Numbers of the slots that records of this type of the team's hold now: at most as many as its quota ever had. */
export async function heldSlots(
  client: DynamoDBDocumentClient,
  table: string,
  teamId: string,
  type: EnvironmentType,
): Promise<ReadonlySet<number>> {
  const prefix = slotPrefix(type)
  const { Items = [] } = await client.send(
    new QueryCommand({
      TableName: table,
      KeyConditionExpression: 'pk = :pk AND begins_with(sk, :prefix)',
      ExpressionAttributeValues: { ':pk': teamPartition(teamId), ':prefix': prefix },
      ConsistentRead: true,
    }),
  )
  return new Set(Items.map(({ sk }) => Number(String(sk).slice(prefix.length))))
}

/** A random free one of `slots`: two spawns at the same moment seldom want the same. Undefined: the quota is used up. */
export function freeSlot(held: ReadonlySet<number>, slots: number): number | undefined {
  const free = Array.from({ length: slots }, (_, slot) => slot).filter((slot) => !held.has(slot))
  // Leases above a limit that was lowered count as well.
  return held.size < slots ? free[Math.floor(Math.random() * free.length)] : undefined
}

/** Takes the lease, or fails the transaction: somebody else has it since. */
export function takeSlot(table: string, { teamId, type, id }: Environment, slot: number): TransactItem {
  const Item = { ...slotKey(teamId, type, slot), holder: id }
  return { Put: { TableName: table, Item, ConditionExpression: 'attribute_not_exists(pk)' } }
}

/** Gives the lease back when the record no longer holds one. */
export function releaseSlot(table: string, before: Environment, after: Environment): TransactItem[] {
  if (before.slot === undefined || after.slot !== undefined) return []
  return [
    {
      Delete: {
        TableName: table,
        Key: slotKey(before.teamId, before.type, before.slot),
        // Only the holder gives a lease back; one that is gone already is no reason to keep the record live.
        ConditionExpression: 'attribute_not_exists(pk) OR holder = :holder',
        ExpressionAttributeValues: { ':holder': before.id },
      },
    },
  ]
}
