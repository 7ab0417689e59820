import { GetCommand, TransactWriteCommand } from '@aws-sdk/lib-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEnvironmentStore } from '../../../shared/adapters/dynamodb/environment-store.ts'
import { freePort, releasePort, takePort } from '../../../shared/adapters/dynamodb/port-leases.ts'
import { createPreviewVisits } from '../../../shared/adapters/dynamodb/preview-directory.ts'
import { lostRaces, retryWrite } from '../../../shared/adapters/dynamodb/retry-write.ts'
import { PREVIEW_PORTS } from '../../../shared/contracts/limits.ts'
import { PreviewDirectoryItemSchema, previewKeys } from '../../../shared/contracts/previews.ts'
import type { EnvironmentStore } from '../../../shared/domain/environments/ports.ts'
import { type EnvironmentRef, expectType, type PreviewEnvironment } from '../../../shared/domain/environments/schema.ts'
import { previewRequested } from '../../../shared/domain/previews/record.ts'
import { newPreviewLabel } from '../../../shared/domain/previews/signatures.ts'
import { forEachBounded } from '../../../shared/domain/realtime/parallel.ts'
import { NOW, observed, previewEnvironment, sendTo } from '../../support/environments.ts'
import { startTables } from '../../support/local-tables.ts'
import { portLeases } from '../../support/previews.ts'

let tables: Awaited<ReturnType<typeof startTables>>
let store: EnvironmentStore
beforeAll(async () => {
  tables = await startTables()
  store = createEnvironmentStore(tables.client, 'environments', 'previews')
})
afterAll(() => tables.close())

const ALL = PREVIEW_PORTS.max - PREVIEW_PORTS.min + 1
const member = { userId: 'user-1' }
const requested = (n: number): PreviewEnvironment =>
  previewEnvironment({
    teamId: `lease-${n}`,
    id: 'preview',
    preview: { branch: 'main', label: newPreviewLabel('main'), isPublic: false },
  })

async function create(record: PreviewEnvironment): Promise<PreviewEnvironment> {
  const made = await store.create({ record, entry: previewRequested(record) })
  if (made.outcome !== 'created') throw new Error(made.outcome)
  return made.record
}
const directory = async ({ preview: { label } }: PreviewEnvironment) => {
  const { Item } = await tables.client.send(
    new GetCommand({ TableName: 'previews', Key: { pk: previewKeys.label(label) }, ConsistentRead: true }),
  )
  return Item
}
const leases = () => portLeases(tables.client, 'environments')

describe('the directory', () => {
  it('is what the record says, in one transaction, and keeps the gateway’s visits', async () => {
    const record = await create(requested(0))
    expect(PreviewDirectoryItemSchema.parse(await directory(record))).toMatchObject({
      status: 'requested',
      port: record.preview.port,
      lastVisitAt: NOW.getTime(),
    })
    const visits = createPreviewVisits(tables.client, 'previews')
    const nobody = newPreviewLabel('main')
    expect(await visits.lastVisits([record.preview.label, nobody])).toEqual(
      new Map([[record.preview.label, NOW.getTime()]]),
    )
    await sendTo(store, record, { type: 'start-claimed', ticketHash: 'h' })
    const seen = { type: 'task-observed', task: observed({ address: '10.0.0.9' }) } as const
    await sendTo(store, record, seen)
    expect(await directory(record)).toMatchObject({ status: 'running', address: '10.0.0.9' })
    await sendTo(store, record, { type: 'task-vanished', reason: 'gone' })
    const gone = await directory(record)
    expect(gone).toMatchObject({ status: 'failed', reason: 'gone' })
    expect(gone).not.toHaveProperty('address')
    await sendTo(store, record, { type: 'delete-requested', member })
    expect(await directory(record)).toBeUndefined()
  })

  it('cannot be forgotten: a function that may not write it cannot change what it shows', async () => {
    const without = createEnvironmentStore(tables.client, 'environments')
    const record = requested(1)
    await expect(without.create({ record, entry: previewRequested(record) })).rejects.toThrow('PREVIEWS_TABLE')
    const made = await create(record)
    await expect(sendTo(without, made, { type: 'stop-requested', member })).rejects.toThrow('PREVIEWS_TABLE')
    // What the gateway does not see is no business of it: a link that connects.
    await sendTo(without, made, { type: 'ticket-used', keyHash: 'k' })
    await sendTo(store, made, { type: 'stop-requested', member })
  })

  it('is read in any number', async () => {
    const visits = createPreviewVisits(tables.client, 'previews')
    const labels = Array.from({ length: 230 }, () => newPreviewLabel('main'))
    expect(await visits.lastVisits(labels)).toEqual(new Map())
    expect(await visits.lastVisits([])).toEqual(new Map())
  })
})

describe('ports', () => {
  /** A lease alone, without a record: what the store's transaction does, as fast as 4,000 of them have to be. */
  const take = (holder: EnvironmentRef) =>
    retryWrite(async () => {
      const port = await freePort(tables.client, 'environments')
      if (port === undefined) throw new Error('no port is free')
      return (await isWritten(takePort('environments', port, holder))) ? port : undefined
    })
  const giveBack = (port: number, holder: EnvironmentRef) =>
    retryWrite(async () => (await isWritten(releasePort('environments', port, holder))) || undefined)

  async function isWritten(item: ReturnType<typeof takePort>): Promise<boolean> {
    try {
      await tables.client.send(new TransactWriteCommand({ TransactItems: [item] }))
      return true
    } catch (error) {
      if (lostRaces(error)) return false
      throw error
    }
  }

  it('are leased to 4,000 at once and given back: none twice, none lost, none to one too many', async () => {
    const numbers = Array.from({ length: ALL }, (_, n) => n + 10)
    const records: PreviewEnvironment[] = []
    const leased: { port: number; holder: EnvironmentRef }[] = []
    // Every eighth is a preview's record, created by the store; every eightieth ends and starts again meanwhile.
    await forEachBounded(numbers, 64, async (n) => {
      const holder = { teamId: `lease-${n}`, id: 'preview' }
      if (n % 8 !== 0) return void leased.push({ port: await take(holder), holder })
      const record = await create(requested(n))
      if (n % 80 !== 0) return void records.push(record)
      await sendTo(store, record, { type: 'stop-requested', member })
      const again = await sendTo(store, record, { type: 'restart-requested', member })
      records.push(expectType(again?.record ?? record, 'preview'))
    })
    for (const { teamId, id, preview } of records) leased.push({ port: preview.port ?? 0, holder: { teamId, id } })
    expect(new Set(leased.map(({ port }) => port)).size).toBe(ALL)
    const held = await leases()
    expect(held.size).toBe(ALL)
    for (const { port, holder } of leased) expect(held.get(port)).toBe(`${holder.teamId}/${holder.id}`)

    await expect(create(requested(9_999))).rejects.toThrow('All ports of previews are in use')
    expect(await store.get({ teamId: 'lease-9999', id: 'preview' })).toBeUndefined()

    const ofRecord = new Map(records.map((record) => [record.teamId, record]))
    await forEachBounded(leased, 64, async ({ port, holder }) => {
      const record = ofRecord.get(holder.teamId)
      if (record) await sendTo(store, record, { type: 'stop-requested', member })
      else await giveBack(port, holder)
    })
    expect((await leases()).size).toBe(0)
  }, 180_000)

  it('that somebody else holds are not given back', async () => {
    const record = await create(requested(3))
    const port = record.preview.port ?? 0
    expect(await isWritten(releasePort('environments', port, { teamId: 'another', id: 'preview' }))).toBe(false)
    expect((await leases()).get(port)).toBe('lease-3/preview')
    await sendTo(store, record, { type: 'stop-requested', member })
    expect((await leases()).size).toBe(0)
  })
})
