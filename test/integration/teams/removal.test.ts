import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { deleteTeamEnvironment, removeTeam, wakeTeam } from '../../../shared/domain/teams/operations.ts'
import { RemovalGivenUp } from '../../../shared/domain/teams/removal.ts'
import { startTables } from '../../support/local-tables.ts'
import { runningTeam, teamWorld } from '../../support/teams.ts'

let tables: Awaited<ReturnType<typeof startTables>>
beforeAll(async () => {
  tables = await startTables()
})
afterAll(() => tables.close())

const running = (agents = 0) => runningTeam(tables, agents)

describe('taking down', () => {
  it('ends agents, then workspace sync, then takes everything away; the files stay', async () => {
    const world = await running(2)
    await deleteTeamEnvironment(world.request, world.deps)
    await expect(world.ensure()).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(await wakeTeam(world.request, world.deps)).toBeUndefined()
    await world.settle()
    expect(await world.teams.get(world.teamId)).toBeUndefined()
    expect((await world.environments.listAllOfTeam(world.teamId, { limit: 10 })).records).toEqual([])
    expect(world.aws.of(world.teamId)).toEqual([])
    expect(await world.teams.hasFiles(world.teamId)).toBe(true)
    const ended = world.ecs.events.filter(({ lastStatus }) => lastStatus === 'STOPPED')
    expect(ended).toHaveLength(3)
    expect(world.ecs.definitionOf.get(ended.at(-1)?.arn ?? '')).toContain('sync-')
    // The next one is another environment, whose tasks ECS has never heard of.
    await world.ensure()
    await world.settle()
    expect((await world.sync())?.status).toBe('running')
  })

  it('goes on after any failure on the way, and a repeat of a message does nothing', async () => {
    const world = await running(1)
    await deleteTeamEnvironment(world.request, world.deps)
    await deleteTeamEnvironment(world.request, world.deps)
    expect(world.queue).toHaveLength(2)
    world.aws.faults = ['answer-lost', 'none', 'throttled', 'none', 'answer-lost', 'none', 'refused']
    await world.settle()
    expect(world.aws.of(world.teamId)).toEqual([])
    expect(await world.teams.get(world.teamId)).toBeUndefined()
  })

  it('takes away what was made and never answered', async () => {
    const world = teamWorld(tables)
    await world.ensure()
    world.aws.faults = ['answer-lost']
    const [start] = world.queue.splice(0)
    if (start) await world.handle(start.work)
    world.queue.length = 0
    expect(world.aws.of(world.teamId)).toHaveLength(1)
    await deleteTeamEnvironment(world.request, world.deps)
    await world.settle()
    expect(world.aws.of(world.teamId)).toEqual([])
  })

  it('is resumed when its message was lost, and given up in the end with what it waited for', async () => {
    const world = await running()
    await deleteTeamEnvironment(world.request, world.deps)
    world.queue.length = 0
    await world.minute()
    await world.minute()
    const [message] = world.queue.splice(0)
    expect(message).toMatchObject({ work: { kind: 'remove-team' } })
    if (!message) throw new Error('not resumed')
    world.ecs.stopFails = 1000
    await world.handle(message.work)
    world.pass(61 * 60_000)
    await expect(world.handle(message.work)).rejects.toThrow(RemovalGivenUp)
    await expect(world.handle(message.work)).rejects.toThrow('last: waiting for workspace sync to end')
    world.queue.length = 0
    await world.minute()
    expect(world.queue.filter(({ work }) => work.kind === 'remove-team')).toEqual([])
    // Whoever asks again gives it new time.
    world.ecs.stopFails = 0
    await deleteTeamEnvironment(world.request, world.deps)
    await world.settle()
    expect(await world.teams.get(world.teamId)).toBeUndefined()
  })

  it('a start that was under way fails with words', async () => {
    const world = await running()
    await deleteTeamEnvironment(world.request, world.deps)
    const removal = world.queue.splice(0)
    await world.spawn()
    const [start] = world.queue.splice(0)
    if (start) await world.handle(start.work)
    expect(await world.agent()).toMatchObject({
      status: 'failed',
      reason: "the team's environment is being taken down",
    })
    world.queue.push(...removal)
    await world.settle()
    expect(await world.agent()).toBeUndefined()
  })
})

describe('removing a team', () => {
  it('erases its files by a task of its own, then its secrets', async () => {
    const world = await running(1)
    world.aws.secretsOf.add(world.teamId)
    await removeTeam(world.request, world.deps)
    await world.settle()
    expect(await world.teams.get(world.teamId)).toBeUndefined()
    expect(await world.teams.hasFiles(world.teamId)).toBe(false)
    expect(world.aws.of(world.teamId)).toEqual([])
    expect(world.aws.secretsOf.size).toBe(0)
    expect((await world.environments.listAllOfTeam(world.teamId, { limit: 10 })).records).toEqual([])
    const story = (await world.ledger()).map(({ cause }) => cause)
    expect(story.indexOf('erase-requested')).toBeGreaterThan(story.lastIndexOf('delete-ordered', story.length - 2))
  })

  it('erases also what an environment before has left', async () => {
    const world = await running()
    await deleteTeamEnvironment(world.request, world.deps)
    await world.settle()
    await removeTeam(world.request, world.deps)
    await world.settle()
    expect(await world.teams.hasFiles(world.teamId)).toBe(false)
    expect(await world.teams.get(world.teamId)).toBeUndefined()
    expect(world.aws.of(world.teamId)).toEqual([])
  })

  it('of which there is nothing runs no task', async () => {
    const world = teamWorld(tables)
    world.aws.secretsOf.add(world.teamId)
    await removeTeam(world.request, world.deps)
    await world.settle()
    expect(world.ecs.tasks.size).toBe(0)
    expect(world.aws.secretsOf.size).toBe(0)
    expect(await world.teams.get(world.teamId)).toBeUndefined()
  })

  it('tries again when erasing failed', async () => {
    const world = await running()
    world.eraserExits.push(1, 2)
    await removeTeam(world.request, world.deps)
    await world.settle()
    expect(await world.teams.get(world.teamId)).toBeUndefined()
    expect(await world.teams.hasFiles(world.teamId)).toBe(false)
    const story = (await world.ledger()).filter(
      ({ cause, environment }) => cause === 'start-ordered' || environment?.to === 'failed',
    )
    expect(story.map(({ cause }) => cause)).toEqual([
      'task-observed',
      'start-ordered',
      'task-observed',
      'start-ordered',
    ])
  })
})
