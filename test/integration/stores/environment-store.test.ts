import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createChatStore } from '../../../shared/adapters/dynamodb/chat-store.ts'
import { createEnvironmentStore } from '../../../shared/adapters/dynamodb/environment-store.ts'
import { createLedgerStore } from '../../../shared/adapters/dynamodb/ledger-store.ts'
import { OUTBOX_SHARDS } from '../../../shared/contracts/tables.ts'
import type { EnvironmentStore } from '../../../shared/domain/environments/ports.ts'
import type { AgentEnvironment, Environment } from '../../../shared/domain/environments/schema.ts'
import { applyEvent } from '../../../shared/domain/environments/state-machine.ts'
import { environment, NOW, observed, sendTo, spawnEntry, syncEnvironment } from '../../support/environments.ts'
import { startTables } from '../../support/local-tables.ts'

let tables: Awaited<ReturnType<typeof startTables>>
let store: EnvironmentStore
let ledger: ReturnType<typeof createLedgerStore>
beforeAll(async () => {
  tables = await startTables()
  store = createEnvironmentStore(tables.client, 'environments')
  ledger = createLedgerStore(tables.client, 'environments')
})
afterAll(() => tables.close())

let teams = 0
const newTeam = () => `team-${++teams}`
const numbered = (teamId: string, n: number, fields: Partial<AgentEnvironment> = {}) =>
  environment({ teamId, id: `0198c0de-0000-7000-8000-${String(n).padStart(12, '0')}`, ...fields })

async function created(record: AgentEnvironment, slots?: number): Promise<AgentEnvironment> {
  const { slot: _, ...free } = record
  const result = await store.create({ record: free, entry: spawnEntry, ...(slots === undefined ? {} : { slots }) })
  if (result.outcome !== 'created') throw new Error(result.outcome)
  return result.record
}

describe('records and ledger', () => {
  it('commit together: every change is one entry, without gaps, in commit order', async () => {
    const teamId = newTeam()
    const record = await created(numbered(teamId, 1), 5)
    await sendTo(store, record, { type: 'start-claimed', ticketHash: 'h' })
    await sendTo(store, record, { type: 'task-observed', task: observed() })
    await sendTo(store, record, { type: 'task-observed', task: observed() })
    const entries = await ledger.readAfter(teamId, 0, 10)
    expect(entries.map(({ sequence }) => sequence)).toEqual([1, 2, 3])
    expect(entries.map(({ environment }) => environment?.to)).toEqual(['requested', 'starting', 'running'])
    expect(await ledger.head(teamId)).toBe(3)
    expect(await ledger.readAfter(teamId, 2, 10)).toEqual([entries[2]])
    expect(await store.get(record)).toMatchObject({ status: 'running', revision: 3 })
  })

  it('are read up to the limit also when they fill more than one page', async () => {
    const teamId = newTeam()
    const reason = 'r'.repeat(300_000)
    for (let n = 0; n < 6; n++) {
      await ledger.append({
        teamId,
        at: NOW.toISOString(),
        actor: { kind: 'platform' },
        cause: 'large',
        correlationId: 'c',
        reason,
      })
    }
    expect((await ledger.readAfter(teamId, 0, 5)).map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5])
    expect((await ledger.readAfter(teamId, 0, 50)).map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 6])
  })

  it('survive thirty writers at once: nothing is lost, nothing applied twice', async () => {
    const teamId = newTeam()
    const records = await Promise.all(Array.from({ length: 10 }, (_, n) => created(numbered(teamId, n), 20)))
    await Promise.all(
      records.flatMap((record) => [1, 2].map(() => sendTo(store, record, { type: 'start-claimed', ticketHash: 'h' }))),
    )
    const entries = await ledger.readAfter(teamId, 0, 100)
    expect(entries.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
    for (const { id } of records)
      expect(
        entries.filter((entry) => entry.environment?.id === id).map((entry) => entry.environment?.revision),
      ).toEqual([1, 2])
  })

  it('refuse a task version that is not higher, whatever was decided', async () => {
    const record = await created(numbered(newTeam(), 1, { status: 'running', task: { arn: 'a', version: 7 } }))
    await expect(
      store.change(record, (current) => ({
        next: { ...current, revision: current.revision + 1, task: { arn: 'a', version: 6 } },
        entry: spawnEntry,
      })),
    ).rejects.toThrow('too many changes at once')
    expect(await store.get(record)).toMatchObject({ revision: 1, task: { version: 7 } })
  })

  it('answer undefined for a record that is not there, also of another team', async () => {
    const record = await created(numbered(newTeam(), 1))
    expect(await store.get({ teamId: newTeam(), id: record.id })).toBeUndefined()
    expect(await store.change({ ...record, id: 'none' }, () => undefined)).toBeUndefined()
  })

  it('remove a deleted record and keep its story', async () => {
    const teamId = newTeam()
    const record = await created(numbered(teamId, 1), 1)
    await sendTo(store, record, { type: 'delete-requested', member: { userId: 'u' } })
    expect(await store.get(record)).toBeUndefined()
    expect((await ledger.readAfter(teamId, 0, 9)).map(({ cause }) => cause)).toEqual([
      'spawn-requested',
      'delete-requested',
    ])
    await created(numbered(teamId, 2), 1)
  })
})

describe('slots', () => {
  it('are leases: never more live records than slots, each given back by its end', async () => {
    const teamId = newTeam()
    const { slot: _, ...rest } = environment()
    const free: AgentEnvironment = rest
    const spawn = (n: number) =>
      store.create({ record: { ...free, teamId, id: numbered(teamId, n).id }, entry: spawnEntry, slots: 3 })
    const results = await Promise.all(Array.from({ length: 8 }, (_, n) => spawn(n)))
    const records = results.flatMap((result) => (result.outcome === 'created' ? [result.record] : []))
    expect(records).toHaveLength(3)
    expect(new Set(records.map(({ slot }) => slot))).toEqual(new Set([0, 1, 2]))
    expect(results.filter(({ outcome }) => outcome === 'no-slot')).toHaveLength(5)
    const [first] = records
    if (!first) throw new Error('no record')
    await sendTo(store, first, { type: 'stop-requested', member: { userId: 'u' } })
    expect(await spawn(100)).toMatchObject({ outcome: 'created', record: { slot: first.slot } })
    expect(await spawn(101)).toEqual({ outcome: 'no-slot' })
  })

  it('that stand above a lowered limit still count', async () => {
    const teamId = newTeam()
    for (let n = 0; n < 3; n++) await created(numbered(teamId, n), 3)
    const { slot: _, ...free } = numbered(teamId, 9)
    expect(await store.create({ record: free, entry: spawnEntry, slots: 2 })).toEqual({ outcome: 'no-slot' })
  })
})

describe('ids that are derived', () => {
  it('make one record however often it is created', async () => {
    const teamId = newTeam()
    const create = () => store.create({ record: syncEnvironment({ teamId }), entry: spawnEntry })
    const results = await Promise.all([create(), create(), create()])
    expect(results.map(({ outcome }) => outcome).sort()).toEqual(['created', 'exists', 'exists'])
    for (const result of results) if ('record' in result) expect(result.record.teamId).toBe(teamId)
    expect(await ledger.readAfter(teamId, 0, 10)).toHaveLength(1)
  })
})

describe('what workspace sync says', () => {
  it('is in the ledger as a chat message and, under the same sequence, in the chat’s history', async () => {
    const record = syncEnvironment({ teamId: newTeam(), status: 'running' })
    await store.create({ record, entry: spawnEntry })
    await sendTo(store, record, { type: 'sync-reported', report: { state: 'failed', detail: 'no space' } })
    const [, entry] = await ledger.readAfter(record.teamId, 0, 10)
    expect(entry).toMatchObject({ sequence: 2, event: ['chat-message', { userName: 'Workspace sync' }] })
    const chat = await createChatStore(tables.client, 'environments').upTo(record.teamId, 2, 10)
    expect(chat).toEqual([entry?.event?.[1]])
  })
})

describe('idempotency keys', () => {
  it('make one record of many equal requests, and refuse another request', async () => {
    const teamId = newTeam()
    const { slot: _, ...free } = environment({ teamId })
    const spawn = (n: number, fingerprint: string) =>
      store.create({
        record: { ...free, id: numbered(teamId, n).id },
        entry: spawnEntry,
        slots: 9,
        idempotency: { key: 'user\nkey', fingerprint },
      })
    const results = await Promise.all([1, 2, 3, 4].map((n) => spawn(n, 'same')))
    const winner = results.find((result) => result.outcome === 'created')
    expect(results.filter(({ outcome }) => outcome === 'created')).toHaveLength(1)
    for (const result of results)
      if (result.outcome === 'replayed') expect(result.ref.id).toBe(winner?.outcome === 'created' && winner.record.id)
    expect(await spawn(5, 'other')).toEqual({ outcome: 'key-reused' })
  })
})

describe('lists', () => {
  it('page a team newest first, and never into another team', async () => {
    const teamId = newTeam()
    for (let n = 0; n < 25; n++) await created(numbered(teamId, n))
    await created(numbered(newTeam(), 1))
    const ids: string[] = []
    let cursor: string | undefined
    do {
      const page = await store.listByTeam(teamId, 'agent', { limit: 10, ...(cursor ? { cursor } : {}) })
      ids.push(...page.records.map(({ id }) => id))
      cursor = page.cursor
    } while (cursor)
    expect(ids).toEqual(Array.from({ length: 25 }, (_, n) => numbered(teamId, 24 - n).id))
    await expect(store.listByTeam(teamId, 'agent', { limit: 10, cursor: 'bm9uc2Vuc2U' })).rejects.toThrow('cursor')
  })

  it('of one type or of all', async () => {
    const teamId = newTeam()
    await created(numbered(teamId, 1))
    await store.create({ record: syncEnvironment({ teamId }), entry: spawnEntry })
    const types = async (page: Promise<{ records: Environment[] }>) => (await page).records.map(({ type }) => type)
    expect(await types(store.listByTeam(teamId, 'sync', { limit: 10 }))).toEqual(['sync'])
    expect(await types(store.listByTeam(teamId, 'agent', { limit: 10 }))).toEqual(['agent'])
    expect((await types(store.listAllOfTeam(teamId, { limit: 10 }))).sort()).toEqual(['agent', 'sync'])
  })

  it('page all records of a status', async () => {
    const before = new Set((await all('stopping')).map(({ id, teamId }) => teamId + id))
    for (let n = 0; n < 120; n++) await created(numbered(`many-${n}`, n, { status: 'stopping' }))
    expect((await all('stopping')).filter(({ id, teamId }) => !before.has(teamId + id))).toHaveLength(120)
  })

  async function all(status: Environment['status']): Promise<Environment[]> {
    const records: Environment[] = []
    let cursor: string | undefined
    do {
      const page = await store.listByStatus(status, cursor ? { cursor } : {})
      records.push(...page.records)
      cursor = page.cursor
    } while (cursor)
    return records
  }
})

describe('outbox', () => {
  const later = new Date(NOW.getTime() + 60_000)
  async function pending(teamId: string) {
    const entries = []
    for (let shard = 0; shard < OUTBOX_SHARDS; shard++) entries.push(...(await ledger.pending(shard, later)).entries)
    return entries.filter((entry) => entry.teamId === teamId).map(({ sequence }) => sequence)
  }

  it('holds what outsiders are to be told until it is settled, and nothing else', async () => {
    const teamId = newTeam()
    const record = await created(numbered(teamId, 1))
    await sendTo(store, record, { type: 'start-claimed', ticketHash: 'h' })
    await store.change(record, (current) =>
      applyEvent(current, { type: 'ticket-used', keyHash: 'k' }, { now: NOW, correlationId: 'c' }),
    )
    await sendTo(store, record, { type: 'task-observed', task: observed() })
    expect(await pending(teamId)).toEqual([1, 2, 4])
    const entries = await ledger.readAfter(teamId, 0, 10)
    await ledger.settle(entries.slice(0, 3))
    await ledger.settle(entries.slice(0, 3))
    expect(await pending(teamId)).toEqual([4])
  })

  it('takes entries about a whole team', async () => {
    const teamId = newTeam()
    const append = () => ledger.append({ ...spawnEntry, teamId, event: ['all-agents-deleted', { teamId }] })
    const entries = await Promise.all([append(), append(), append()])
    expect(entries.map(({ sequence }) => sequence).sort()).toEqual([1, 2, 3])
    expect(await pending(teamId)).toEqual([1, 2, 3])
  })
})
