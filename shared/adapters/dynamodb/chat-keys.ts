/**
 * Keys of the chat, in the environments table.
 *
 * | access pattern                          | how                                                             |
 * |-----------------------------------------|-----------------------------------------------------------------|
 * | the newest messages up to a sequence    | Query pk CHAT#<team>, sk <= <ledger sequence>, descending       |
 * | a message, with its ledger entry        | TransactWriteItems, on condition that neither is there          |
 *
 * A message's sort key is the sequence of its ledger entry, so a reader's ledger cursor also says which messages it has.
 */
import { CHAT_TTL_DAYS } from '../../contracts/limits.ts'
import type { LedgerEntry } from '../../domain/ledger/schema.ts'
import { type Key, ledgerSort } from './environment-keys.ts'
import { epochSeconds } from './ledger-items.ts'

export const chatPartition = (teamId: string): string => `CHAT#${teamId}`
export const chatKey = (teamId: string, sequence: number): Key => ({
  pk: chatPartition(teamId),
  sk: ledgerSort(sequence),
})

/** The history's item of an entry that says something in the chat; undefined for every other entry. */
export function chatItem({ teamId, sequence, at, event }: LedgerEntry): Record<string, unknown> | undefined {
  if (event?.[0] !== 'chat-message') return undefined
  const expiresAt = epochSeconds(new Date(at)) + CHAT_TTL_DAYS * 86_400
  return { ...chatKey(teamId, sequence), ...event[1], expiresAt }
}
