import type { LedgerEntry, NewLedgerEntry } from './schema.ts'

/** Reads are strongly consistent: an entry whose commit has been answered is seen. */
export interface LedgerReader {
  /** Sequence of the newest entry, 0 when there is none. */
  head(teamId: string): Promise<number>
  /** Entries above `sequence`, oldest first, at most `limit`; fewer only when there are no more. */
  readAfter(teamId: string, sequence: number, limit: number): Promise<LedgerEntry[]>
}

/** Entries that are committed and not yet settled (pushed to members and put on the event bus). */
export interface Outbox {
  settle(entries: readonly Pick<LedgerEntry, 'teamId' | 'sequence'>[]): Promise<void>
  /** One page of unsettled entries of a shard committed before `before`, oldest first. */
  pending(shard: number, before: Date, cursor?: string): Promise<{ entries: LedgerEntry[]; cursor?: string }>
}

/** Appends an entry that belongs to no record. */
export interface LedgerWriter {
  append(entry: NewLedgerEntry): Promise<LedgerEntry>
}
