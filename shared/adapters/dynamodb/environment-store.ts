import { type DynamoDBDocumentClient, GetCommand, QueryCommand, TransactWriteCommand } from '@aws-sdk/lib-dynamodb'
import * as z from 'zod'
import { IDEMPOTENCY_TTL_HOURS } from '../../contracts/limits.ts'
import type { tables } from '../../contracts/tables.ts'
import type { Change, Created, EnvironmentStore, NewRecord } from '../../domain/environments/ports.ts'
import {
  type Environment,
  type EnvironmentOf,
  EnvironmentSchema,
  type EnvironmentType,
} from '../../domain/environments/schema.ts'
import { isFinal } from '../../domain/environments/transitions.ts'
import { CorruptRecord, TooManyAgents, Unavailable } from '../../domain/errors.ts'
import type { LedgerEntry } from '../../domain/ledger/schema.ts'
import { chatItem } from './chat-keys.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import { idempotencyKey, type Key, RECORD_PREFIX, recordKey, teamPartition } from './environment-keys.ts'
import { epochSeconds, ledgerHead, toLedgerItem } from './ledger-items.ts'
import { freePort, releasePort, takePort } from './port-leases.ts'
import { directoryWrites } from './preview-directory.ts'
import { lostRaces, retryWrite } from './retry-write.ts'
import { freeSlot, heldSlots, releaseSlot, takeSlot } from './slot-leases.ts'

type TransactItem = NonNullable<ConstructorParameters<typeof TransactWriteCommand>[0]['TransactItems']>[number]

/** Too many previews run at the moment, over all teams. */
const noFreePort = () =>
  new Unavailable('All ports of previews are in use at the moment; try again in a minute', { retryAfterSeconds: 60 })

type Page = { limit: number; cursor?: string }

const STATUS_PAGE = 100
const IdempotencyItemSchema = z.object({ environmentId: z.string(), fingerprint: z.string() })

const toItem = (record: Environment): Record<string, unknown> => ({
  ...recordKey(record),
  statusKey: record.status,
  ...record,
})

function fromItem(item: Record<string, unknown>): Environment {
  const parsed = EnvironmentSchema.safeParse(item)
  if (parsed.success) return parsed.data
  throw new CorruptRecord(`environment record ${String(item.pk)}/${String(item.sk)}: ${parsed.error.message}`)
}

/**
 * Environment records with their ledger entries, slots, ports and idempotency keys, in the environments table.
 *
 * @param previewsTable The gateway's directory; without it a change of a preview that the gateway must see throws.
 */
export function createEnvironmentStore(
  client: DynamoDBDocumentClient,
  table: string,
  previewsTable?: string,
): EnvironmentStore {
  async function read(key: Key): Promise<Record<string, unknown> | undefined> {
    const { Item } = await client.send(new GetCommand({ TableName: table, Key: key, ConsistentRead: true }))
    return Item
  }

  const get: EnvironmentStore['get'] = async (ref) => {
    const item = await read(recordKey(ref))
    return item && fromItem(item)
  }

  return {
    get,

    async change(ref, decide) {
      return retryWrite(async () => {
        const [record, head] = await Promise.all([get(ref), ledgerHead(client, table, ref.teamId)])
        if (!record) return { done: undefined }
        const decided = decide(record)
        if (!decided) return { done: { record } }
        const slot = decided.slots === undefined ? undefined : await leaseFor(record, decided.slots)
        const next = await withPort(slot === undefined ? decided.next : { ...decided.next, slot })
        const change = { ...decided, next }
        const entry = entryOf(change.entry, record, change.next, head + 1)
        try {
          await client.send(
            new TransactWriteCommand({
              TransactItems: [
                writeRecord(record, change),
                ...appendEntry(entry),
                ...releaseSlot(table, record, change.next),
                ...(slot === undefined ? [] : [takeSlot(table, record, slot)]),
                ...portLeases(record, change.next),
                ...directoryWrites(previewsTable, record, change),
              ],
            }),
          )
          return { done: { record: change.next, entry } }
        } catch (error) {
          if (lostRaces(error)) return undefined
          throw error
        }
      }).then(({ done }) => done)
    },

    create<R extends Environment>({ record, entry, slots, idempotency }: NewRecord<R>): Promise<Created<R>> {
      const { teamId, type } = record
      const replayKey = idempotency && idempotencyKey(teamId, idempotency.key)
      return retryWrite<Created<R>>(async () => {
        const [used, held, head] = await Promise.all([
          replayKey && read(replayKey),
          slots === undefined ? undefined : heldSlots(client, table, teamId, type),
          ledgerHead(client, table, teamId),
        ])
        if (used && idempotency) {
          const { environmentId, fingerprint } = IdempotencyItemSchema.parse(used)
          if (fingerprint !== idempotency.fingerprint) return { outcome: 'key-reused' }
          return { outcome: 'replayed', ref: { teamId, id: environmentId } }
        }
        const slot = held && freeSlot(held, slots ?? 0)
        if (held && slot === undefined) return { outcome: 'no-slot' }
        const created: R = await withPort(slot === undefined ? record : { ...record, slot })
        const written = entryOf(entry, undefined, created, head + 1)
        const items: TransactItem[] = [
          putNew(toItem(created)),
          ...appendEntry(written),
          ...(slot === undefined ? [] : [takeSlot(table, record, slot)]),
          ...portLeases(undefined, created),
          ...directoryWrites(previewsTable, undefined, { next: created }),
          ...(replayKey && idempotency
            ? [
                putNew({
                  ...replayKey,
                  environmentId: record.id,
                  fingerprint: idempotency.fingerprint,
                  expiresAt: epochSeconds(new Date(record.createdAt)) + IDEMPOTENCY_TTL_HOURS * 3600,
                }),
              ]
            : []),
        ]
        try {
          await client.send(new TransactWriteCommand({ TransactItems: items }))
          return { outcome: 'created', record: created, entry: written }
        } catch (error) {
          const races = lostRaces(error)
          if (!races) throw error
          // The id is taken (the first item is the record); else somebody took the slot, the place in the ledger or the key.
          const existing = races[0] === 'ConditionalCheckFailed' ? await get(record) : undefined
          return existing && { outcome: 'exists', record: existing }
        }
      })
    },

    async listByTeam<T extends EnvironmentType>(teamId: string, type: T, page: Page) {
      const { records, ...rest } = await listAllOfTeam(teamId, page)
      return { records: records.filter((record): record is EnvironmentOf<T> => record.type === type), ...rest }
    },

    listAllOfTeam,

    async listByStatus(status, { cursor }) {
      const { Items = [], LastEvaluatedKey } = await client.send(
        new QueryCommand({
          TableName: table,
          IndexName: 'by-status' satisfies keyof typeof tables.environments.indexes,
          KeyConditionExpression: 'statusKey = :status',
          ExpressionAttributeValues: { ':status': status },
          Limit: STATUS_PAGE,
          ...(cursor ? { ExclusiveStartKey: decodeCursor(cursor) } : {}),
        }),
      )
      return {
        records: Items.map(fromItem),
        ...(LastEvaluatedKey ? { cursor: encodeCursor(LastEvaluatedKey) } : {}),
      }
    },
  }

  async function listAllOfTeam(teamId: string, { limit, cursor }: Page) {
    const { Items = [], LastEvaluatedKey } = await client.send(
      new QueryCommand({
        TableName: table,
        KeyConditionExpression: 'pk = :pk AND begins_with(sk, :prefix)',
        ExpressionAttributeValues: { ':pk': teamPartition(teamId), ':prefix': RECORD_PREFIX },
        ScanIndexForward: false,
        Limit: limit,
        ConsistentRead: true,
        // Only the sort key travels: a cursor can never lead into another team.
        ...(cursor ? { ExclusiveStartKey: { pk: teamPartition(teamId), sk: String(decodeCursor(cursor).sk) } } : {}),
      }),
    )
    return {
      records: Items.map(fromItem),
      ...(LastEvaluatedKey ? { cursor: encodeCursor({ sk: LastEvaluatedKey.sk }) } : {}),
    }
  }

  async function leaseFor({ teamId, type }: Environment, slots: number): Promise<number> {
    const slot = freeSlot(await heldSlots(client, table, teamId, type), slots)
    if (slot === undefined) throw new TooManyAgents(slots)
    return slot
  }

  /** A live preview holds a port: one is looked for when it has none, and the transaction decides whether it is still free. */
  async function withPort<R extends Environment>(next: R): Promise<R> {
    if (next.type !== 'preview' || isFinal(next.status) || next.preview.port !== undefined) return next
    const port = await freePort(client, table)
    if (port === undefined) throw noFreePort()
    return { ...next, preview: { ...next.preview, port } }
  }

  function portLeases(before: Environment | undefined, after: Environment): TransactItem[] {
    const held = before?.type === 'preview' ? before.preview.port : undefined
    const wanted = after.type === 'preview' ? after.preview.port : undefined
    if (held === wanted) return []
    return [
      ...(held === undefined ? [] : [releasePort(table, held, after)]),
      ...(wanted === undefined ? [] : [takePort(table, wanted, after)]),
    ]
  }

  /**
   * The compare-and-set of invariant 1. The revision alone closes every race; generation and task version are named as
   * well, so that no bug in deciding can apply an older event.
   */
  function writeRecord(record: Environment, { next, remove }: Change): TransactItem {
    const unchanged = ['revision = :revision', 'generation = :generation']
    const values: Record<string, unknown> = { ':revision': record.revision, ':generation': record.generation }
    if (next.task && next.task.version !== record.task?.version) {
      unchanged.push('(attribute_not_exists(task) OR task.version < :version)')
      values[':version'] = next.task.version
    }
    const condition = {
      TableName: table,
      ConditionExpression: unchanged.join(' AND '),
      ExpressionAttributeValues: values,
    }
    return remove ? { Delete: { ...condition, Key: recordKey(record) } } : { Put: { ...condition, Item: toItem(next) } }
  }

  /** What it says in the chat is in the chat's history too. */
  function appendEntry(entry: LedgerEntry): TransactItem[] {
    const chat = chatItem(entry)
    return [putNew(toLedgerItem(entry)), ...(chat ? [putNew(chat)] : [])]
  }

  function putNew(item: Record<string, unknown>): TransactItem {
    return { Put: { TableName: table, Item: item, ConditionExpression: 'attribute_not_exists(pk)' } }
  }

  function entryOf(
    entry: Change['entry'],
    before: Environment | undefined,
    after: Environment,
    sequence: number,
  ): LedgerEntry {
    return {
      ...entry,
      teamId: after.teamId,
      sequence,
      environment: {
        id: after.id,
        type: after.type,
        ...(after.type === 'agent' ? { name: after.agent.agentName } : {}),
        generation: after.generation,
        attempt: after.attempt,
        revision: after.revision,
        from: before?.status ?? null,
        to: after.status,
      },
    }
  }
}
