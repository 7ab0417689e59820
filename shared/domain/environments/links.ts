/** What a container may ask of its record over the link. The link's credential is checked by `admitLink` at connect. */
import type { LinkDown, LinkUp } from '../../contracts/link.ts'
import type { Clock } from '../clock.ts'
import type { LedgerEntry } from '../ledger/schema.ts'
import type { EnvironmentStore } from './ports.ts'
import type { EnvironmentRef } from './schema.ts'

export type LinkRef = EnvironmentRef & { readonly generation: number }
export type LinkCredential =
  /** Hex SHA-256 of the ticket and of the container's own key. */
  | { readonly kind: 'ticket'; readonly ticketHash: string; readonly keyHash: string }
  | { readonly kind: 'key'; readonly keyHash: string }
export type LinkOrders = Omit<Extract<LinkDown, { type: 'welcome' }>, 'type' | 'acknowledged' | 'model'>
export interface LinkDeps {
  readonly environments: EnvironmentStore
  readonly clock: Clock
}
