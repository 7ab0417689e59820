import type { LedgerEntry } from '../ledger/schema.ts'

/**
 * Tells the world of committed entries: the team's connections over their cursors, the event bus, then the outbox mark is
 * taken off. Never throws: the change stands whatever happens here, and what could not be told stays in the outbox for the
 * sweep. May be called again for the same entries, by anybody, at any time.
 */
export type Publish = (entries: readonly LedgerEntry[]) => Promise<void>
