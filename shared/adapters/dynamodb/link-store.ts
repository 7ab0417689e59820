import { type DynamoDBDocumentClient, GetCommand } from '@aws-sdk/lib-dynamodb'
import * as z from 'zod'
import { CorruptRecord } from '../../domain/errors.ts'
import { LinkSchema } from '../../domain/realtime/link-state.ts'
import type { LinkStore } from '../../domain/realtime/ports.ts'
import { rememberedPut } from './remembered-put.ts'
import { linkKey } from './session-keys.ts'

/** The records' links in the connections table. An expired item is still read: it is as true as it was. */
export function createLinkStore(client: DynamoDBDocumentClient, table: string): LinkStore {
  return {
    async get(ref) {
      const { Item } = await client.send(new GetCommand({ TableName: table, Key: linkKey(ref), ConsistentRead: true }))
      if (!Item) return undefined
      const parsed = LinkSchema.safeParse(Item)
      if (parsed.success) return parsed.data
      throw new CorruptRecord(`link of ${ref.teamId}/${ref.id}: ${z.prettifyError(parsed.error)}`)
    },

    put: (ref, link) => rememberedPut(client, table, linkKey(ref), link),
  }
}
