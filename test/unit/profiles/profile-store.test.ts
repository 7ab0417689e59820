import { GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createProfileStore } from '../../../shared/adapters/dynamodb/profile-store.ts'
import { startTables } from '../../support/local-tables.ts'

describe('the profile store', () => {
  let local: Awaited<ReturnType<typeof startTables>>
  beforeAll(async () => {
    local = await startTables()
  })
  afterAll(() => local.close())

  const cached = {
    profile: { userId: 'u1', teamId: 't1', userName: 'Ada', teamName: 'Engines', repositoryUrl: null, known: true },
    fetchedAt: '2025-03-12T10:00:00.000Z',
  }

  it('keeps a profile until it may be forgotten', async () => {
    const store = createProfileStore('connections', local.client)
    expect(await store.get('u1')).toBeUndefined()
    await store.put(cached, new Date('2025-03-13T10:00:00.900Z'))
    expect(await store.get('u1')).toEqual(cached)
    const key = { pk: 'PROFILE#u1', sk: 'PROFILE' }
    const { Item } = await local.client.send(new GetCommand({ TableName: 'connections', Key: key }))
    expect(Item?.expiresAt).toBe(Date.parse('2025-03-13T10:00:00Z') / 1000)
  })

  it('takes an item of another shape for none', async () => {
    const Item = { pk: 'PROFILE#u2', sk: 'PROFILE', profile: { userName: 7 }, fetchedAt: 'yesterday' }
    await local.client.send(new PutCommand({ TableName: 'connections', Item }))
    expect(await createProfileStore('connections', local.client).get('u2')).toBeUndefined()
  })
})
