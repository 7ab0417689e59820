import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createAnswerStore } from '../../../shared/adapters/dynamodb/answer-store.ts'
import { MAX_MESSAGE_PARTS } from '../../../shared/contracts/limits.ts'
import { ANSWER_TTL_MS } from '../../../shared/domain/files/answers.ts'
import { startTables } from '../../support/local-tables.ts'

const NOW = new Date()
const REF = { teamId: 'team-1', id: 'sync-1' }
const OTHERS = [
  { teamId: 'team-2', id: 'sync-1' },
  { teamId: 'team-1', id: 'sync-2' },
]
const part = (id: string, number: number, parts: number, data = `${number}`) => ({ id, part: number, parts, data })

describe('answers of containers', () => {
  let tables: Awaited<ReturnType<typeof startTables>>
  const store = () => createAnswerStore(tables.client, 'connections')
  beforeAll(async () => {
    tables = await startTables()
  })
  afterAll(() => tables.close())

  it('are kept for whoever has asked', async () => {
    await store().expect(REF, 'one', NOW)
    expect(await store().read(REF, 'one')).toEqual([])
    expect(await store().put(REF, part('one', 0, 1, 'text'), NOW)).toBe('kept')
    expect(await store().read(REF, 'one')).toEqual([part('one', 0, 1, 'text')])
  })

  it('come in many parts, in any order, some of them twice', async () => {
    await store().expect(REF, 'many', NOW)
    // More than one page of a query, which ends at 1 MB.
    const parts = Array.from({ length: 60 }, (_, number) => part('many', number, 60, String(number).repeat(14_000)))
    for (const one of [...parts, ...parts.slice(10, 12)].reverse()) await store().put(REF, one, NOW)
    expect(await store().read(REF, 'many')).toEqual(parts)
    await store().expect(REF, 'last', NOW)
    await store().put(REF, part('last', MAX_MESSAGE_PARTS - 1, MAX_MESSAGE_PARTS), NOW)
    expect(await store().read(REF, 'last')).toEqual([])
  })

  it('are not kept when nobody has asked, or not lately, or somebody else', async () => {
    await store().expect(REF, 'asked', NOW)
    expect(await store().put(REF, part('never', 0, 1), NOW)).toBe('unknown')
    const late = new Date(NOW.getTime() + ANSWER_TTL_MS + 1000)
    expect(await store().put(REF, part('asked', 0, 1), late)).toBe('unknown')
    for (const other of OTHERS) {
      expect(await store().put(other, part('asked', 0, 1), NOW)).toBe('unknown')
      // What a container puts into an id leads nowhere else.
      expect(await store().put(other, part(`x#${REF.id}#asked`, 0, 1), NOW)).toBe('unknown')
    }
    expect(await store().read(REF, 'asked')).toEqual([])
  })
})
