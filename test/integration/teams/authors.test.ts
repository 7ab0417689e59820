import { afterAll, beforeAll, expect, it } from 'vitest'
import { authorsSince } from '../../../shared/domain/environments/authors.ts'
import { sendEvent } from '../../../shared/domain/environments/operations.ts'
import { startTables } from '../../support/local-tables.ts'
import { teamWorld } from '../../support/teams.ts'

let tables: Awaited<ReturnType<typeof startTables>>
beforeAll(async () => {
  tables = await startTables()
})
afterAll(() => tables.close())

it('co-authors are the agents that ran since, deleted ones too, and nobody who ended before or never started', async () => {
  const world = teamWorld(tables)
  await world.ensure()
  for (let n = 0; n < 3; n++) await world.spawn()
  await world.settle()
  const end = async (n: number) => world.ecs.exitOf((await world.agent(n))?.task?.arn ?? '', 0)
  await end(0)
  await world.settle()
  world.pass(60_000)
  const since = world.deps.clock.now().toISOString()
  world.pass(60_000)
  await end(1)
  await world.settle()
  const ended = await world.agent(1)
  if (!ended) throw new Error('no agent')
  await sendEvent(ended, { type: 'delete-requested', member: { userId: 'u' } }, 'c', world.deps)
  await end(2)
  await world.settle()
  await world.spawn()
  const authors = await authorsSince(world.teamId, since, world.deps)
  expect(authors.map(({ email }) => email).sort()).toEqual([
    'agent-1@agents.covibes.invalid',
    'agent-2@agents.covibes.invalid',
  ])
  expect(new Set(authors.map(({ name }) => name))).toEqual(new Set(['Ada Lovelace']))
  expect(await authorsSince('another-team', since, world.deps)).toEqual([])
})
