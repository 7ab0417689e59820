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
import { type Key, ledgerSort } from './environment-keys.ts'

export const chatPartition = (teamId: string): string => `CHAT#${teamId}`
export const chatKey = (teamId: string, sequence: number): Key => ({
  pk: chatPartition(teamId),
  sk: ledgerSort(sequence),
})
