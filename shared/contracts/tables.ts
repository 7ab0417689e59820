/**
 * DynamoDB tables as data: CDK creates them from this, stores and tests read names of keys and indexes here. The access
 * patterns stand in each store's keys.ts.
 */
export interface TableContract {
  readonly partitionKey: string
  readonly sortKey?: string
  /** Epoch seconds; rows without it stay. */
  readonly ttl?: string
  readonly indexes: Readonly<
    Record<string, { partitionKey: string; sortKey?: string; projection: 'ALL' | 'KEYS_ONLY' | readonly string[] }>
  >
}

export const tables = {
  /** Environment records, slots, idempotency keys, team ledgers with the outbox, workspace layouts. */
  environments: {
    partitionKey: 'pk',
    sortKey: 'sk',
    ttl: 'expiresAt',
    indexes: {
      /** Records by status; a status changes at most at RunTask's rate (20/s), far below a partition's 1,000 writes/s. */
      'by-status': { partitionKey: 'statusKey', sortKey: 'updatedAt', projection: 'ALL' },
      /** Sparse: ledger entries that are still to be pushed, oldest first, over OUTBOX_SHARDS partitions. */
      outbox: { partitionKey: 'outboxKey', sortKey: 'outboxAt', projection: 'KEYS_ONLY' },
    },
  },
  /** Engine.IO sessions, their WebSocket connections, team and terminal membership, links, cached profiles and answers to `GET /api/auth/me`. */
  connections: {
    partitionKey: 'pk',
    sortKey: 'sk',
    ttl: 'expiresAt',
    indexes: {
      /** Sparse: sessions to ping, over PING_SHARDS partitions. */
      ping: { partitionKey: 'pingKey', sortKey: 'pk', projection: ['connectionId', 'sid'] },
    },
  },
  /** Terminal output, one item a chunk. */
  terminalLog: { partitionKey: 'pk', sortKey: 'sk', ttl: 'expiresAt', indexes: {} },
  /**
   * The gateway's directory of previews, `LABEL#<label>`, and tickets that were used, `TICKET#<id>` (previews.ts). Apart from the
   * records, because the gateway may read nothing else.
   */
  previews: { partitionKey: 'pk', ttl: 'expiresAt', indexes: {} },
  /** One item per team and one for all, edited by operators. */
  flags: { partitionKey: 'scope', indexes: {} },
} as const satisfies Record<string, TableContract>

export const OUTBOX_SHARDS = 4
export const PING_SHARDS = 8
