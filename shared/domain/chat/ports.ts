import type { ChatMessage } from '../../contracts/socket-events.ts'
import type { LedgerEntry, NewLedgerEntry } from '../ledger/schema.ts'

export interface ChatHistory {
  /**
   * The newest messages up to a ledger sequence, at most `limit`, oldest first. Strongly consistent: together with the
   * ledger's entries above that sequence it is the whole chat, nothing twice.
   */
  upTo(teamId: string, sequence: number, limit: number): Promise<ChatMessage[]>
}

/** A ledger entry that says something in the chat. */
export type NewChatEntry = NewLedgerEntry & { readonly event: readonly ['chat-message', ChatMessage] }

export interface ChatWriter {
  /** Appends to the ledger, and to the history under the same sequence, in one transaction. */
  append(entry: NewChatEntry): Promise<LedgerEntry>
}
