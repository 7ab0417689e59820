/** The gateway's directory: written with the record, in one transaction, so that it never says what the record does not. */
import { BatchGetCommand, type DynamoDBDocumentClient, type TransactWriteCommandInput } from '@aws-sdk/lib-dynamodb'
import * as z from 'zod'
import { type PreviewDirectoryItem, previewKeys, previewsTable } from '../../contracts/previews.ts'
import type { Change } from '../../domain/environments/ports.ts'
import type { Environment, PreviewEnvironment } from '../../domain/environments/schema.ts'
import { CorruptRecord } from '../../domain/errors.ts'
import { directoryItemOf } from '../../domain/previews/directory-item.ts'
import type { PreviewVisits } from '../../domain/previews/ports.ts'

type TransactItem = NonNullable<TransactWriteCommandInput['TransactItems']>[number]

const keyOf = (label: string) => ({ [previewsTable.partitionKey]: previewKeys.label(label) })

/** Members that a projection may be without. */
const OPTIONAL = [
  'address',
  'port',
  'phase',
  'reason',
  'lastLines',
] as const satisfies readonly (keyof PreviewDirectoryItem)[]

/** What a change of a record means for the directory; nothing when the gateway would see no difference, or it is no preview's. */
export function directoryWrites(
  table: string | undefined,
  before: Environment | undefined,
  { next, remove }: Pick<Change, 'next' | 'remove'>,
): TransactItem[] {
  if (next.type !== 'preview') return []
  const seen = before?.type === 'preview' ? JSON.stringify(directoryItemOf(before)) : undefined
  const item = directoryItemOf(next)
  if (!remove && seen === JSON.stringify(item)) return []
  if (table === undefined) throw new Error('This function changes previews and is not configured with PREVIEWS_TABLE')
  if (remove) return [{ Delete: { TableName: table, Key: keyOf(next.preview.label) } }]
  const isStart = before === undefined || before.generation !== next.generation
  return [put(table, next, isStart ? { ...item, lastVisitAt: Date.parse(next.updatedAt) } : item)]
}

/** All members but `lastVisitAt`, which is the gateway's, unless the preview starts: an old visit would count as idleness. */
function put(table: string, { preview }: PreviewEnvironment, item: Partial<PreviewDirectoryItem>): TransactItem {
  const members = Object.entries(item)
  const gone = OPTIONAL.filter((name) => item[name] === undefined)
  const set = members.map(([name]) => `#${name} = :${name}`).join(', ')
  const remove = gone.length === 0 ? '' : ` REMOVE ${gone.map((name) => `#${name}`).join(', ')}`
  return {
    Update: {
      TableName: table,
      Key: keyOf(preview.label),
      UpdateExpression: `SET ${set}${remove}`,
      ExpressionAttributeNames: Object.fromEntries(
        [...members.map(([name]) => name), ...gone].map((name) => [`#${name}`, name]),
      ),
      ExpressionAttributeValues: Object.fromEntries(members.map(([name, value]) => [`:${name}`, value])),
    },
  }
}

/** BatchGetItem takes 100 keys a call. */
const BATCH = 100

const VisitSchema = z.object({ pk: z.string(), lastVisitAt: z.number().optional() })

export function createPreviewVisits(client: DynamoDBDocumentClient, table: string): PreviewVisits {
  return {
    async lastVisits(labels) {
      const visits = new Map<string, number>()
      const byKey = new Map(labels.map((label) => [previewKeys.label(label), label]))
      let keys = labels.map(keyOf)
      while (keys.length > 0) {
        const { Responses = {}, UnprocessedKeys = {} } = await client.send(
          new BatchGetCommand({
            RequestItems: {
              [table]: { Keys: keys.slice(0, BATCH), ProjectionExpression: 'pk, lastVisitAt', ConsistentRead: true },
            },
          }),
        )
        for (const item of Responses[table] ?? []) {
          const parsed = VisitSchema.safeParse(item)
          if (!parsed.success) throw new CorruptRecord(`directory item ${String(item.pk)}: ${parsed.error.message}`)
          const label = byKey.get(parsed.data.pk)
          const { lastVisitAt } = parsed.data
          if (label !== undefined && lastVisitAt !== undefined) visits.set(label, lastVisitAt)
        }
        // What a full answer left out comes again, at least one item further each time.
        keys = [...(UnprocessedKeys[table]?.Keys ?? []).map(({ pk }) => ({ pk: String(pk) })), ...keys.slice(BATCH)]
      }
      return visits
    },
  }
}
