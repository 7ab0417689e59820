import { type DynamoDBDocumentClient, QueryCommand, TransactWriteCommand } from '@aws-sdk/lib-dynamodb'
import * as z from 'zod'
import { type ChatMessage, ChatMessageSchema } from '../../contracts/socket-events.ts'
import type { ChatHistory, ChatWriter } from '../../domain/chat/ports.ts'
import { CorruptRecord } from '../../domain/errors.ts'
import type { LedgerEntry } from '../../domain/ledger/schema.ts'
import { chatItem, chatPartition } from './chat-keys.ts'
import { ledgerSort } from './environment-keys.ts'
import { ledgerHead, toLedgerItem } from './ledger-items.ts'
import { lostRaces, retryWrite } from './retry-write.ts'

function fromItem(item: Record<string, unknown>): ChatMessage {
  const parsed = ChatMessageSchema.safeParse(item)
  if (parsed.success) return parsed.data
  throw new CorruptRecord(`chat message ${String(item.pk)}/${String(item.sk)}: ${z.prettifyError(parsed.error)}`)
}

/** The chat's history in the environments table. */
export function createChatStore(client: DynamoDBDocumentClient, table: string): ChatHistory & ChatWriter {
  return {
    async upTo(teamId, sequence, limit) {
      const { Items = [] } = await client.send(
        new QueryCommand({
          TableName: table,
          KeyConditionExpression: 'pk = :pk AND sk <= :last',
          ExpressionAttributeValues: { ':pk': chatPartition(teamId), ':last': ledgerSort(sequence) },
          ScanIndexForward: false,
          Limit: limit,
          ConsistentRead: true,
        }),
      )
      return Items.map(fromItem).reverse()
    },

    append: (entry) =>
      retryWrite(async () => {
        const written: LedgerEntry = { ...entry, sequence: (await ledgerHead(client, table, entry.teamId)) + 1 }
        const items = [toLedgerItem(written), chatItem(written)]
        try {
          // The condition closes the race of two appends that saw the same head: the second looks again.
          const puts = items.map((Item) => ({
            Put: { TableName: table, Item, ConditionExpression: 'attribute_not_exists(pk)' },
          }))
          await client.send(new TransactWriteCommand({ TransactItems: puts }))
          return written
        } catch (error) {
          if (lostRaces(error)) return undefined
          throw error
        }
      }),
  }
}
