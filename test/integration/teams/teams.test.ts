import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TEAM_IDLE_MS } from '../../../shared/contracts/limits.ts'
import { linkOrders } from '../../../shared/domain/environments/links.ts'
import { sendEvent } from '../../../shared/domain/environments/operations.ts'
import { restartTeam, stopTeam, touchTeam, wakeTeam } from '../../../shared/domain/teams/operations.ts'
import { startTables } from '../../support/local-tables.ts'
import { runningTeam, teamWorld } from '../../support/teams.ts'

let tables: Awaited<ReturnType<typeof startTables>>
beforeAll(async () => {
  tables = await startTables()
})
afterAll(() => tables.close())

const REPOSITORY = 'https://git.example/team/app'

const running = (agents = 0) => runningTeam(tables, agents, REPOSITORY)

describe('creating', () => {
  it('is one environment, one workspace sync and one start, however many ask at once', async () => {
    const world = teamWorld(tables)
    const all = await Promise.all([1, 2, 3, 4].map(() => world.ensure(REPOSITORY)))
    expect(new Set(all.map(({ team }) => team.incarnation)).size).toBe(1)
    expect(all.filter(({ created }) => created)).toHaveLength(1)
    expect(world.queue).toHaveLength(1)
    expect(await world.ledger()).toMatchObject([{ cause: 'sync-requested', actor: { kind: 'member' } }])
    await world.settle()
    expect(world.ecs.tasks.size).toBe(1)
  })

  it('takes the known repository, and refuses another one', async () => {
    const world = teamWorld(tables)
    await world.ensure(REPOSITORY)
    await world.ensure(`${REPOSITORY}.git`)
    await expect(world.ensure('https://git.example/other/app')).rejects.toMatchObject({ code: 'CONFLICT' })
    expect((await world.ensure()).team.repositoryUrl).toBe(REPOSITORY)
  })

  it('follows the existing server to another repository: workspace sync is restarted with it', async () => {
    const world = await running()
    const moved = 'https://git.example/team/moved'
    await world.ensure(moved, true)
    await world.settle()
    const sync = await world.sync()
    expect(sync).toMatchObject({ status: 'running', generation: 2 })
    expect(await linkOrders(sync as never, world.deps)).toEqual({
      sync: { purpose: 'sync', previews: [] },
      repository: { url: moved },
    })
  })
})

describe('what tasks run from', () => {
  it('is made once for each kind, remembered, and used by every task of the team', async () => {
    const world = await running(3)
    const { aws, ecs } = world
    const made = ['CreateAccessPoint', 'CreateRole', 'RegisterTaskDefinition'].map((call) => aws.count(call))
    expect(made).toEqual([2, 2, 2])
    const team = await world.teams.get(world.teamId)
    expect(team?.leases).toEqual({})
    const used = [...ecs.definitionOf.values()]
    expect(used).toEqual([
      team?.definitions.sync?.arn,
      ...Array.from({ length: 3 }, () => team?.definitions.agent?.arn),
    ])
    // Each kind mounts its own.
    expect(aws.revisions.get(team?.definitions.agent?.arn ?? '')).toMatchObject({
      accessPointIds: { agent: team?.accessPoints.agent?.id },
      roleArn: team?.roles.agent?.arn,
    })
    expect(team?.accessPoints.agent?.id).not.toBe(team?.accessPoints.sync?.id)
  })

  it('is made by one worker when many start at once', async () => {
    const world = await running()
    for (let n = 0; n < 3; n++) await world.spawn()
    const works = world.queue.splice(0)
    await Promise.all(works.map(({ work }) => world.handle(work)))
    expect(world.aws.count('RegisterTaskDefinition')).toBe(2)
    expect(world.aws.count('CreateRole')).toBe(2)
    await world.settle()
    for (let n = 0; n < 3; n++) expect((await world.agent(n))?.status).toBe('running')
  })

  it('is replaced when the stage’s own definition has changed, and the old revision goes', async () => {
    const world = await running()
    const before = (await world.teams.get(world.teamId))?.definitions.sync?.arn
    world.aws.bases = { agent: 'agent:2', sync: 'sync:2', preview: 'preview:1' }
    await restartTeam(world.request, world.deps)
    await world.settle()
    const after = (await world.teams.get(world.teamId))?.definitions.sync
    expect(after).toMatchObject({ base: 'sync:2' })
    expect(after?.arn).not.toBe(before)
    expect([...world.aws.revisions.keys()]).toEqual([after?.arn])
    expect(world.aws.count('CreateRole')).toBe(1)
  })

  it.each(['throttled', 'answer-lost'] as const)('is made in the end when every call is %s at first', async (fault) => {
    const world = teamWorld(tables)
    world.aws.looksUntilAvailable = 2
    await world.ensure()
    world.aws.faults = ['none', fault, 'none', fault, 'none', fault, fault]
    await world.settle()
    expect((await world.sync())?.status).toBe('running')
    expect(world.aws.accessPointsMade.size).toBe(1)
    expect(world.aws.rolesMade.size).toBe(1)
    expect(world.aws.revisions.size).toBe(1)
  })

  it('that cannot be made fails the record with the reason', async () => {
    const world = teamWorld(tables)
    await world.ensure()
    world.aws.faults = ['refused']
    await world.settle()
    expect(await world.sync()).toMatchObject({ status: 'failed', reason: 'CreateAccessPoint: limit exceeded' })
    expect(world.ecs.tasks.size).toBe(0)
  })

  it('a role that ECS does not see yet is waited for, without using up an attempt', async () => {
    const world = teamWorld(tables)
    await world.ensure()
    world.ecs.runFaults = ['too-early', 'too-early', 'too-early', 'too-early']
    await world.settle()
    expect(await world.sync()).toMatchObject({ status: 'running', attempt: 1 })
  })

  it('agents start after workspace sync has: whoever mounts first makes the root', async () => {
    const world = teamWorld(tables)
    await world.ensure()
    await world.spawn()
    const [sync, agent] = world.queue.splice(0)
    if (!sync || !agent) throw new Error('not queued')
    await world.handle(agent.work)
    expect(await world.agent()).toMatchObject({
      status: 'requested',
      reason: expect.stringContaining('workspace sync to start'),
    })
    expect(world.queue.splice(0)).toMatchObject([{ work: { waits: 1 }, delaySeconds: 2 }])
    await world.handle(sync.work)
    // Nothing of the agent is queued any more: it is started because sync runs.
    await world.settle()
    expect(await world.agent()).toMatchObject({ status: 'running' })
    expect((await world.teams.get(world.teamId))?.rootMadeAt).toBeDefined()
  })
})

describe('stopping and restarting', () => {
  it('stops agents at once and workspace sync when they have ended', async () => {
    const world = await running(2)
    await stopTeam(world.request, world.deps)
    expect((await world.agent(0))?.status).toBe('stopping')
    expect((await world.sync())?.status).toBe('running')
    await world.settle()
    expect([(await world.agent(0))?.status, (await world.agent(1))?.status]).toEqual(['killed', 'killed'])
    expect(await world.sync()).toMatchObject({ status: 'killed', reason: 'stopped on request' })
    const ends = world.ecs.events.filter(({ lastStatus }) => lastStatus === 'STOPPED').map(({ startedBy }) => startedBy)
    expect(ends.at(-1)).toContain((await world.sync())?.id)
    // Nobody brings it back by himself.
    await world.minute()
    expect((await world.sync())?.status).toBe('killed')
  })

  it('an agent that somebody starts meanwhile keeps workspace sync running', async () => {
    const world = await running(1)
    await stopTeam(world.request, world.deps)
    await world.spawn()
    await world.settle()
    expect((await world.agent(1))?.status).toBe('running')
    expect((await world.sync())?.status).toBe('running')
  })

  it('restarts what runs', async () => {
    const world = await running(1)
    await restartTeam(world.request, world.deps)
    await world.settle()
    expect(await world.agent()).toMatchObject({ status: 'running', generation: 2 })
    expect(await world.sync()).toMatchObject({ status: 'running', generation: 2 })
  })

  it('there is nothing to stop without an environment', async () => {
    const world = teamWorld(tables)
    await expect(stopTeam(world.request, world.deps)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(restartTeam(world.request, world.deps)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await wakeTeam(world.request, world.deps)).toBeUndefined()
  })
})

describe('looking after teams', () => {
  it('stops workspace sync that nobody uses, and use wakes it', async () => {
    const world = await running()
    world.pass(TEAM_IDLE_MS / 2)
    await touchTeam(world.teamId, world.deps)
    world.pass(TEAM_IDLE_MS / 2 + 120_000)
    await world.minute()
    expect((await world.sync())?.status).toBe('running')
    world.pass(TEAM_IDLE_MS)
    await world.minute()
    await world.settle()
    expect(await world.sync()).toMatchObject({
      status: 'killed',
      reason: 'stopped because nobody used it for 15 minutes; it starts again by itself',
    })
    await world.minute()
    expect((await world.sync())?.status).toBe('killed')
    expect((await wakeTeam(world.request, world.deps))?.sync).toMatchObject({ status: 'requested', generation: 2 })
    await world.settle()
    await world.minute()
    expect((await world.sync())?.status).toBe('running')
  })

  it('leaves it where agents work or have worked a moment ago, deleted ones as well', async () => {
    const world = await running(1)
    world.pass(2 * TEAM_IDLE_MS)
    await world.minute()
    expect((await world.sync())?.status).toBe('running')
    const agent = await world.agent()
    if (!agent) throw new Error('no agent')
    const member = { userId: 'user-1' }
    await sendEvent(agent, { type: 'delete-requested', member }, 'c', world.deps)
    await world.deps.tasks.stop(agent.task?.arn ?? '')
    await world.settle()
    expect(await world.agent()).toBeUndefined()
    await world.minute()
    expect((await world.sync())?.status).toBe('running')
    world.pass(TEAM_IDLE_MS)
    await world.minute()
    expect((await world.sync())?.status).toBe('stopping')
  })

  it('starts workspace sync again that failed under an agent, each time later', async () => {
    const world = await running(1)
    const starts: number[] = []
    for (let minute = 0; minute < 16; minute++) {
      const before = await world.sync()
      if (before?.status === 'running') world.ecs.exitOf(before.task?.arn ?? '', 3)
      await world.settle()
      await world.minute()
      const after = await world.sync()
      if (after && before && after.generation > before.generation) starts.push(minute)
      await world.settle()
    }
    expect(await world.sync()).toMatchObject({ restarts: starts.length })
    // 2, 4, 8, 16, 32 s fit into the reconciler's minutes; from then on 64 s, 128 s, 256 s, and 5 minutes.
    expect(starts.slice(0, 5)).toEqual([0, 1, 2, 3, 4])
    expect(starts.length).toBeLessThan(10)
    expect(starts.length).toBeGreaterThan(6)
  })

  it('makes workspace sync anew whose record was lost', async () => {
    const world = await running(1)
    const sync = await world.sync()
    if (!sync) throw new Error('no sync')
    world.ecs.exitOf(sync.task?.arn ?? '', 0)
    await world.settle()
    await sendEvent(sync, { type: 'delete-ordered', reason: 'lost' }, 'c', world.deps)
    expect(await world.sync()).toBeUndefined()
    await world.minute()
    expect(await world.sync()).toMatchObject({ status: 'requested' })
  })
})
