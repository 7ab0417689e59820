import { PutCommand } from '@aws-sdk/lib-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTeamStore } from '../../../shared/adapters/dynamodb/team-store.ts'
import { createWorkspaceConfigStore } from '../../../shared/adapters/dynamodb/workspace-config-store.ts'
import type { TeamStore } from '../../../shared/domain/teams/ports.ts'
import type { TeamEnvironment } from '../../../shared/domain/teams/schema.ts'
import { NOW } from '../../support/environments.ts'
import { startTables } from '../../support/local-tables.ts'

let tables: Awaited<ReturnType<typeof startTables>>
let store: TeamStore
beforeAll(async () => {
  tables = await startTables()
  store = createTeamStore(tables.client, 'environments')
})
afterAll(() => tables.close())

let teams = 0
function team(fields: Partial<TeamEnvironment> = {}): Omit<TeamEnvironment, 'revision'> {
  const n = ++teams
  return {
    teamId: `team-${n}`,
    incarnation: `0198c0de-0000-7000-8000-${String(n).padStart(12, '0')}`,
    status: 'active',
    repositoryUrl: null,
    createdAt: NOW.toISOString(),
    createdBy: { userId: 'user-1', userName: 'Ann' },
    lastUsedAt: NOW.toISOString(),
    begun: [],
    accessPoints: {},
    roles: {},
    definitions: {},
    leases: {},
    ...fields,
  }
}
const removal = {
  erase: false,
  requestedAt: NOW.toISOString(),
  correlationId: 'c',
  deadline: NOW.toISOString(),
  nextStepAt: NOW.toISOString(),
}

describe('a team’s environment', () => {
  it('is created once, also by many at once, and the others get the one that is there', async () => {
    const drafts = [1, 2, 3, 4].map(() => team({ teamId: 'raced' }))
    const results = await Promise.all(drafts.map((draft) => store.create(draft)))
    expect(results.filter(({ created }) => created)).toHaveLength(1)
    expect(new Set(results.map(({ team: { incarnation } }) => incarnation)).size).toBe(1)
    expect(await store.get('raced')).toEqual(results[0]?.team)
  })

  it('loses no change of many writers, and keeps its revision when there is nothing to change', async () => {
    const { teamId } = (await store.create(team())).team
    await Promise.all(
      Array.from({ length: 10 }, (_, n) =>
        store.change(teamId, (current) => ({ ...current, repositoryUrl: `${current.repositoryUrl ?? ''}${n}` })),
      ),
    )
    const changed = await store.get(teamId)
    expect([...(changed?.repositoryUrl ?? '')].sort().join('')).toBe('0123456789')
    expect(changed?.revision).toBe(11)
    expect(await store.change(teamId, () => undefined)).toEqual(changed)
    expect(await store.change('nobody', () => team() as TeamEnvironment)).toBeUndefined()
  })

  it('is removed with its own incarnation only', async () => {
    const { team: made } = await store.create(team())
    await store.remove({ ...made, incarnation: '0198c0de-0000-7000-8000-ffffffffffff' })
    expect(await store.get(made.teamId)).toEqual(made)
    await store.remove(made)
    await store.remove(made)
    expect(await store.get(made.teamId)).toBeUndefined()
  })

  it('that is being removed is found over all teams, in pages, and no record with it', async () => {
    const made: string[] = []
    for (let n = 0; n < 60; n++) made.push((await store.create(team({ status: 'removing', removal }))).team.teamId)
    await store.create(team())
    const found: string[] = []
    let cursor: string | undefined
    do {
      const page = await store.listRemoving(cursor === undefined ? {} : { cursor })
      found.push(...page.teams.map(({ teamId }) => teamId))
      cursor = page.cursor
    } while (cursor)
    expect(found.sort()).toEqual(made.sort())
    const [first] = made
    if (!first) throw new Error('none')
    await store.change(first, ({ removal: _, ...current }) => ({ ...current, status: 'active' }))
    expect((await store.listRemoving({})).teams.map(({ teamId }) => teamId)).not.toContain(first)
  })

  it('that somebody has spoilt by hand is named as corrupt', async () => {
    await tables.client.send(
      new PutCommand({ TableName: 'environments', Item: { pk: 'TEAM#spoilt', sk: 'TEAM', writes: [], teamId: 7 } }),
    )
    await expect(store.get('spoilt')).rejects.toMatchObject({ code: 'CORRUPT_RECORD' })
  })
})

describe('what stays of a team', () => {
  it('the mark of its files outlives the environment', async () => {
    const { teamId } = team()
    expect(await store.hasFiles(teamId)).toBe(false)
    await store.setHasFiles(teamId, true)
    await store.setHasFiles(teamId, true)
    expect(await store.hasFiles(teamId)).toBe(true)
    await store.setHasFiles(teamId, false)
    expect(await store.hasFiles(teamId)).toBe(false)
  })

  it('layout and chat go page by page, and no other team’s', async () => {
    const layouts = createWorkspaceConfigStore('environments', tables.client)
    const [mine, other] = [team().teamId, team().teamId]
    for (const teamId of [mine, other]) {
      await layouts.put(teamId, '{"tiles":[],"layouts":{},"sidebarWidth":200}', NOW)
      for (let n = 0; n < 150; n++)
        await tables.client.send(
          new PutCommand({
            TableName: 'environments',
            Item: { pk: `CHAT#${teamId}`, sk: String(n).padStart(12, '0') },
          }),
        )
    }
    expect(await store.removeSettings(mine)).toBe(false)
    expect(await store.removeSettings(mine)).toBe(true)
    expect(await layouts.get(mine)).toBeUndefined()
    expect(await layouts.get(other)).toBeDefined()
    expect(await store.removeSettings(other)).toBe(false)
  })
})
