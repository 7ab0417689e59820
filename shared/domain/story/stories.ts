import type * as z from 'zod'
import { CONTAINER_KINDS, type WhyAnswerSchema, type WhyQuerySchema } from '../../contracts/environments.ts'
import type { EnvironmentStore } from '../environments/ports.ts'
import type { Environment } from '../environments/schema.ts'
import { BadRequest } from '../errors.ts'
import type { LedgerReader } from '../ledger/ports.ts'
import type { LedgerEntry } from '../ledger/schema.ts'
import { forEachBounded } from '../realtime/parallel.ts'
import { type NameOf, type RecordEntry, sentenceOf } from './sentences.ts'

type WhyAnswer = z.infer<typeof WhyAnswerSchema>
type Story = WhyAnswer['stories'][number]

export interface StoryDeps {
  readonly ledger: LedgerReader
  readonly environments: Pick<EnvironmentStore, 'get'>
}

/** Records looked up at once. */
const LOOK_UPS = 16

/**
 * What happened to a team's containers: the newest `limit` entries of its ledger, or those before the cursor. The container
 * that something happened to last stands first; its story is told from the beginning. A story that began before this page goes
 * on behind the cursor.
 */
export async function tellStories(
  teamId: string,
  { limit, cursor }: z.infer<typeof WhyQuerySchema>,
  deps: StoryDeps,
): Promise<WhyAnswer> {
  const last = cursor === undefined ? await deps.ledger.head(teamId) : sequenceOf(cursor)
  const before = Math.max(0, last - limit)
  const entries = await entriesBetween(teamId, before, last, deps)
  const byRecord = Map.groupBy(entries.filter(isAboutRecord), ({ environment }) => environment.id)
  const ids = [...byRecord.keys()]
  const records = new Map<string, Environment>()
  await forEachBounded(ids, LOOK_UPS, async (id) => {
    const record = await deps.environments.get({ teamId, id })
    if (record) records.set(id, record)
  })
  const names = new Map([...records.values()].map(({ createdBy }) => [createdBy.userId, createdBy.userName]))
  const stories = [...byRecord]
    .sort(([, a], [, b]) => lastSequence(b) - lastSequence(a))
    .map(([id, ofRecord]) => storyOf(id, ofRecord, records.get(id), (userId) => names.get(userId)))
  // Entries are forgotten after a while: before an empty page there are none.
  const isFirst = before === 0 || entries.length === 0
  return { teamId, stories, ...(isFirst ? {} : { nextCursor: String(before) }) }
}

function sequenceOf(cursor: string): number {
  if (/^\d{1,12}$/.test(cursor)) return Number(cursor)
  throw new BadRequest('cursor is not one that this API has given', [{ field: 'cursor', message: 'unknown cursor' }])
}

/** Entries above `before` up to `last`. A read may end early: DynamoDB's pages are bounded in bytes, too. */
async function entriesBetween(
  teamId: string,
  before: number,
  last: number,
  { ledger }: StoryDeps,
): Promise<LedgerEntry[]> {
  const entries: LedgerEntry[] = []
  let after = before
  while (after < last) {
    const page = await ledger.readAfter(teamId, after, last - after)
    entries.push(...page.filter(({ sequence }) => sequence <= last))
    const end = page.at(-1)?.sequence
    if (end === undefined) break
    after = end
  }
  return entries
}

const isAboutRecord = (entry: LedgerEntry): entry is RecordEntry => entry.environment !== undefined
const lastSequence = (entries: readonly RecordEntry[]): number => entries.at(-1)?.sequence ?? 0

function storyOf(id: string, entries: readonly RecordEntry[], record: Environment | undefined, nameOf: NameOf): Story {
  const type = entries[0]?.environment.type ?? 'agent'
  return {
    containerId: id,
    kind: CONTAINER_KINDS[type],
    ...(record ? { name: record.name } : {}),
    status: record && !record.deletedAt ? record.status : 'deleted',
    story: entries
      .map((entry) => ({ at: entry.at, text: sentenceOf(entry, nameOf), correlationId: entry.correlationId }))
      // Health and reports come again and again; what is said twice in a row is told once.
      .filter(({ text }, n, told) => text !== told[n - 1]?.text),
  }
}
