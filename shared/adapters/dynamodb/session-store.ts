import {
  BatchGetCommand,
  DeleteCommand,
  type DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
} from '@aws-sdk/lib-dynamodb'
import * as z from 'zod'
import type { tables } from '../../contracts/tables.ts'
import { CorruptRecord } from '../../domain/errors.ts'
import { type Connection, LINKED_CONTAINERS, type SessionStore } from '../../domain/realtime/ports.ts'
import { type Session, SessionSchema } from '../../domain/realtime/session.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import type { Key } from './environment-keys.ts'
import { rememberedPut } from './remembered-put.ts'
import {
  BEHIND_IDS,
  connectionKey,
  MEMBER_PREFIX,
  memberKey,
  pingShardKey,
  pingShardOf,
  roomPartition,
  sessionKey,
} from './session-keys.ts'

/** Some 150 bytes each, so a page stays below a query's 1 MB. */
const MEMBERS_PAGE = 2_000
const PING_PAGE = 500

const ConnectionSchema: z.ZodType<Connection> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('socket'), sid: z.string() }),
  z.object({
    kind: z.literal('link'),
    ref: z.object({ teamId: z.string(), id: z.string(), generation: z.number().int() }),
    container: z.enum(LINKED_CONTAINERS).optional(),
    base: z.number().int().optional(),
  }),
])
const MemberSchema = z.object({ sid: z.string() })
const PingSchema = z.object({ sid: z.string(), connectionId: z.string() })
const ExpirySchema = z.object({ expiresAt: z.number() })

function parse<S extends z.ZodType>(schema: S, item: Record<string, unknown>): z.infer<S> {
  const parsed = schema.safeParse(item)
  if (parsed.success) return parsed.data
  throw new CorruptRecord(`connections item ${String(item.sk)}: ${z.prettifyError(parsed.error)}`)
}

/** Sparse: only open WebSockets are in the ping index. */
const pingAttributes = (session: Session): Record<string, unknown> =>
  session.opened && session.endedAt === undefined && session.connectionId !== undefined
    ? { pingKey: pingShardKey(pingShardOf(session.sid)) }
    : {}

/** Sessions, rooms, connections and pids in the connections table. */
export function createSessionStore(client: DynamoDBDocumentClient, table: string): SessionStore {
  /** Consistent; DynamoDB deletes expired items up to days late, so they are left out here. */
  async function read(key: Key): Promise<Record<string, unknown> | undefined> {
    const { Item } = await client.send(new GetCommand({ TableName: table, Key: key, ConsistentRead: true }))
    return Item && isCurrent(Item) ? Item : undefined
  }

  /** Unconditional: each of these items has one writer, or says the same whoever writes it. */
  async function write(key: Key, attributes: Record<string, unknown>): Promise<void> {
    await client.send(new PutCommand({ TableName: table, Item: { ...key, ...attributes } }))
  }

  async function remove(key: Key): Promise<void> {
    await client.send(new DeleteCommand({ TableName: table, Key: key }))
  }

  const put = (session: Session): Promise<boolean> =>
    rememberedPut(client, table, sessionKey(session.sid), { ...session, ...pingAttributes(session) })

  return {
    async create(session) {
      if (!(await put(session))) throw new Error('a new session id is in use already')
    },

    async get(sid) {
      const item = await read(sessionKey(sid))
      return item && parse(SessionSchema, item)
    },

    async getMany(sids) {
      const { Responses } = await client.send(
        new BatchGetCommand({ RequestItems: { [table]: { Keys: sids.map(sessionKey), ConsistentRead: true } } }),
      )
      // Keys that were left unprocessed, and items that cannot be read, are met by whoever looks for that one session.
      const sessions = (Responses?.[table] ?? []).filter(isCurrent).flatMap((item) => {
        const parsed = SessionSchema.safeParse(item)
        return parsed.success ? [parsed.data] : []
      })
      return new Map(sessions.map((session) => [session.sid, session]))
    },

    put,

    enter: (room, sid, expiresAt) => write(memberKey(room, sid), { sid, expiresAt }),
    leave: (room, sid) => remove(memberKey(room, sid)),

    async members(room, cursor, { from, to } = { from: '', to: '' }) {
      const { Items = [], LastEvaluatedKey } = await client.send(
        new QueryCommand({
          TableName: table,
          KeyConditionExpression: 'pk = :pk AND sk BETWEEN :from AND :to',
          ExpressionAttributeValues: {
            ':pk': roomPartition(room),
            ':from': MEMBER_PREFIX + from,
            ':to': MEMBER_PREFIX + to + BEHIND_IDS,
          },
          ConsistentRead: true,
          Limit: MEMBERS_PAGE,
          ...(cursor ? { ExclusiveStartKey: decodeCursor(cursor) } : {}),
        }),
      )
      const sids = Items.filter(isCurrent).map((item) => parse(MemberSchema, item).sid)
      return { sids, ...(LastEvaluatedKey ? { cursor: encodeCursor(LastEvaluatedKey) } : {}) }
    },

    bind: (connectionId, connection, expiresAt) => write(connectionKey(connectionId), { ...connection, expiresAt }),
    async connection(connectionId) {
      const item = await read(connectionKey(connectionId))
      return item && parse(ConnectionSchema, item)
    },

    async pingable(shard, cursor) {
      const { Items = [], LastEvaluatedKey } = await client.send(
        new QueryCommand({
          TableName: table,
          IndexName: 'ping' satisfies keyof typeof tables.connections.indexes,
          KeyConditionExpression: 'pingKey = :shard',
          ExpressionAttributeValues: { ':shard': pingShardKey(shard) },
          Limit: PING_PAGE,
          ...(cursor ? { ExclusiveStartKey: decodeCursor(cursor) } : {}),
        }),
      )
      const connections = Items.map((item) => parse(PingSchema, item))
      return { connections, ...(LastEvaluatedKey ? { cursor: encodeCursor(LastEvaluatedKey) } : {}) }
    },
  }
}

const isCurrent = (item: Record<string, unknown>): boolean => parse(ExpirySchema, item).expiresAt * 1000 > Date.now()
