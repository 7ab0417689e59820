import type { LedgerEntry, NewLedgerEntry } from '../ledger/schema.ts'
import type { Environment, EnvironmentOf, EnvironmentRef, EnvironmentType, Status } from './schema.ts'

/** What one event does to a record: its next state, and the entry that says so. */
export interface Change {
  readonly next: Environment
  readonly entry: Omit<NewLedgerEntry, 'teamId' | 'environment'>
  /** The record's row goes (its history stays in the ledger). */
  readonly remove?: boolean
  /** The record becomes live again: it needs one of this many leases of its type. */
  readonly slots?: number
}
/** Pure: looks at the record as it stands and says what changes, or undefined for nothing. May run more than once. */
export type Decide = (record: Environment) => Change | undefined

export type Committed = {
  /** The record after the call, whether this call changed it or not. */
  readonly record: Environment
  /** Undefined: the event changed nothing. */
  readonly entry?: LedgerEntry
}

export interface NewRecord<R extends Environment> {
  readonly record: R
  readonly entry: Change['entry']
  /** How many leases of this type the team may hold; absent: the record needs none. */
  readonly slots?: number
  readonly idempotency?: { readonly key: string; readonly fingerprint: string }
}
export type Created<R extends Environment> =
  | { readonly outcome: 'created'; readonly record: R; readonly entry: LedgerEntry }
  /** The key was used before, for this record. */
  | { readonly outcome: 'replayed'; readonly ref: EnvironmentRef }
  | { readonly outcome: 'key-reused' }
  | { readonly outcome: 'no-slot' }
  /** There is a record of this id already: only for ids that are derived, not drawn. */
  | { readonly outcome: 'exists'; readonly record: Environment }

export interface EnvironmentStore {
  get(ref: EnvironmentRef): Promise<Environment | undefined>
  /**
   * The one write path (invariant 1): reads, decides, and commits record and ledger entry in one transaction conditional on
   * revision, generation and task version; decides again when somebody else was first, a bounded number of times.
   * Undefined: there is no such record.
   *
   * @throws TooManyAgents when the change needs a slot and there is none, Unavailable when it needs a port and there is none, and when it
   * lost too many races.
   */
  change(ref: EnvironmentRef, decide: Decide): Promise<Committed | undefined>
  /**
   * Creates the record with its ledger entry, its leases and its idempotency key in one transaction. A live preview gets a port.
   * @throws Unavailable when it needs a port and there is none.
   */
  create<R extends Environment>(request: NewRecord<R>): Promise<Created<R>>
  /** A team's records of a type, newest first, at most `limit` of them; deleted ones included (callers hide them). */
  listByTeam<T extends EnvironmentType>(
    teamId: string,
    type: T,
    page: { limit: number; cursor?: string },
  ): Promise<{ records: EnvironmentOf<T>[]; cursor?: string }>
  /** As `listByTeam`, of every type. */
  listAllOfTeam(
    teamId: string,
    page: { limit: number; cursor?: string },
  ): Promise<{ records: Environment[]; cursor?: string }>
  /** All teams' records in a status, longest unchanged first. */
  listByStatus(status: Status, page: { cursor?: string }): Promise<{ records: Environment[]; cursor?: string }>
}
