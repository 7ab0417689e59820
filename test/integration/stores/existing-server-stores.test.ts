import { createHash } from 'node:crypto'
import { GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createAuthAnswerStore } from '../../../shared/adapters/dynamodb/auth-answer-store.ts'
import { createWorkspaceConfigStore } from '../../../shared/adapters/dynamodb/workspace-config-store.ts'
import { WORKSPACE_CONFIG_MAX_BYTES } from '../../../shared/contracts/limits.ts'
import { CorruptRecord } from '../../../shared/domain/errors.ts'
import { startTables } from '../../support/local-tables.ts'

let tables: Awaited<ReturnType<typeof startTables>>
beforeAll(async () => {
  tables = await startTables()
})
afterAll(() => tables.close())
const now = new Date('2025-03-12T10:00:00.000Z')

describe('the workspace layout store', () => {
  const store = () => createWorkspaceConfigStore('environments', tables.client)

  it('gives each team what was stored last, to the last key', async () => {
    const json =
      '{"tiles":[{"i":"a"},{"i":"a"},null],"layouts":{"z":1e21,"a":{"__proto__":1}},"sidebarWidth":300,"more":null}'
    await store().put('t1', '{"tiles":[],"layouts":{},"sidebarWidth":100}', now)
    await store().put('t1', json, now)
    expect(JSON.stringify(await store().get('t1'))).toBe(JSON.stringify(JSON.parse(json)))
    expect(await store().get('t2')).toBeUndefined()
  })

  it('holds the largest there may be', async () => {
    const empty = { tiles: [''], layouts: {}, sidebarWidth: 300 }
    const filler = 'x'.repeat(WORKSPACE_CONFIG_MAX_BYTES - JSON.stringify(empty).length)
    await store().put('t'.repeat(64), JSON.stringify({ ...empty, tiles: [filler] }), now)
    expect((await store().get('t'.repeat(64)))?.tiles).toEqual([filler])
  })

  it.each([[undefined], [7], ['{'], ['{"tiles":{}}']])('says so when what is there is %j', async (config) => {
    const Item = { pk: 'TEAM#t3', sk: 'WORKSPACE_CONFIG', config }
    await tables.client.send(new PutCommand({ TableName: 'environments', Item }))
    await expect(store().get('t3')).rejects.toThrow(CorruptRecord)
  })
})

describe('the store of answers to GET /api/auth/me', () => {
  const store = () => createAuthAnswerStore('connections', tables.client)
  const kept = { body: '{"user":{}}', answeredAt: now, expiresAt: new Date('2025-03-13T10:00:00.000Z') }

  it('finds an answer by its token, which it does not hold', async () => {
    await store().put('token-1', kept)
    expect(await store().get('token-1')).toEqual(kept)
    expect(await store().get('token-2')).toBeUndefined()
    const digest = createHash('sha256').update('token-1').digest('hex')
    const Key = { pk: `AUTH_ME#${digest}`, sk: 'AUTH_ME' }
    const { Item } = await tables.client.send(new GetCommand({ TableName: 'connections', Key }))
    expect(Item).toMatchObject({ expiresAt: kept.expiresAt.getTime() / 1000 })
    expect(JSON.stringify(Item)).not.toContain('token-1')
  })

  it('drops it', async () => {
    await store().put('token-3', kept)
    await store().drop('token-3')
    expect(await store().get('token-3')).toBeUndefined()
    await store().drop('token-3')
  })
})
