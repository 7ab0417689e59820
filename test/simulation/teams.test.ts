/**
 * Random lives of a team's environment: created, worked in, idle, stopped, restarted, taken down, erased, with everything that can
 * go wrong between the control plane, ECS, EFS and IAM. In a healthy world the invariants hold soon after, and nothing is left of
 * what was taken down. The failing case's seed and path stand in fast-check's message.
 */
import fc from 'fast-check'
import { expect } from 'vitest'
import { orderWork, sendEvent } from '../../shared/domain/environments/operations.ts'
import { isFinal } from '../../shared/domain/environments/transitions.ts'
import {
  deleteTeamEnvironment,
  removeTeam,
  restartTeam,
  stopTeam,
  wakeTeam,
} from '../../shared/domain/teams/operations.ts'
import { asked, heal, playEcs, removesAgain, TEAM_STEPS, work } from '../support/random-lives.ts'
import { RESOURCE_FAULTS } from '../support/simulated-team-resources.ts'
import { simulation } from '../support/simulation.ts'
import { type TeamWorld, teamWorld } from '../support/teams.ts'

const agent = fc.nat({ max: 3 })
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('spawn' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('ensure' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('stop-team' as const, 'restart-team', 'wake') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('take-down' as const, 'remove') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('stop' as const, 'delete', 'restart'), agent }) },
  ...TEAM_STEPS,
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('resource-fault' as const), fault: fc.constantFrom(...RESOURCE_FAULTS) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('deploy' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('minute' as const), minutes: fc.constantFrom(1, 2, 20) }) },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

async function spawn(world: TeamWorld): Promise<void> {
  await asked(world.ensure().then(() => world.spawn()))
}

async function ask(world: TeamWorld, n: number, type: 'stop-requested' | 'delete-requested' | 'restart-requested') {
  const record = await world.agent(n)
  if (!record) return
  if (type === 'restart-requested' && !(await wakeTeam(world.request, world.deps))) return
  const event = { type, member: { userId: 'user-1' }, slots: 3 }
  await asked(sendEvent(record, event, 'c', world.deps).then((done) => done && orderWork(done.record, 'c', world.deps)))
}

async function play(world: TeamWorld, action: Step): Promise<void> {
  const { aws, deps, request } = world
  switch (action.do) {
    case 'spawn':
      return spawn(world)
    case 'ensure':
      return asked(world.ensure())
    case 'stop-team':
      return asked(stopTeam(request, deps))
    case 'restart-team':
      return asked(restartTeam(request, deps))
    case 'wake':
      return asked(wakeTeam(request, deps))
    case 'take-down':
      return asked(deleteTeamEnvironment(request, deps))
    case 'remove':
      return asked(removeTeam(request, deps))
    case 'stop':
      return ask(world, action.agent, 'stop-requested')
    case 'delete':
      return ask(world, action.agent, 'delete-requested')
    case 'restart':
      return ask(world, action.agent, 'restart-requested')
    case 'work':
      return work(world, action.messages)
    case 'advance':
    case 'exit':
    case 'event':
    case 'run-fault':
    case 'stop-fault':
    case 'forget':
      return playEcs(world, action)
    case 'resource-fault':
      return void aws.faults.push(action.fault)
    case 'deploy': {
      const next = Number(aws.bases.agent.split(':')[1]) + 1
      aws.bases = { agent: `agent:${next}`, sync: `sync:${next}`, preview: `preview:${next}` }
      return
    }
    case 'minute':
      world.pass((action.minutes - 1) * 60_000)
      return world.minute().catch(() => undefined)
  }
}

const lives = fc.array(step, { minLength: 10, maxLength: 60 })
simulation('a team’s environment comes to rest, whatever was lost', lives, 25, async (steps, tables) => {
  const world = teamWorld(tables)
  await spawn(world)
  for (const action of steps) await play(world, action)
  await heal(
    world,
    removesAgain(world, () => deleteTeamEnvironment(world.request, world.deps)),
  )
  await holds(world)
})

async function holds(world: TeamWorld): Promise<void> {
  const { teamId, environments, ecs, aws } = world
  const { records } = await environments.listAllOfTeam(teamId, { limit: 100 })
  const live = records.filter(({ status }) => !isFinal(status))
  const shown = JSON.stringify(records, null, 1)

  // Every live record runs, in one task of its own, and no task runs without one.
  for (const record of live) expect(record.status, shown).toBe('running')
  expect((await ecs.listRunning()).sort()).toEqual(live.map(({ task }) => task?.arn).sort())
  for (const record of records.filter(({ status }) => status === 'failed' || status === 'killed'))
    expect(record.reason, shown).toBeTruthy()
  // A task mounts what is its kind's.
  for (const [arn, definition] of ecs.definitionOf) {
    const task = ecs.tasks.get(arn)
    if (task) expect(definition.split('-')[0]).toBe(task.startedBy?.includes('/agent-') ? 'agent' : 'sync')
  }

  const team = await world.teams.get(teamId)
  expect(team?.status ?? 'active', JSON.stringify(team)).toBe('active')
  expect(team?.leases ?? {}).toEqual({})
  const sync = await world.sync()
  if (live.some(({ type }) => type === 'agent')) expect(sync?.status, shown).toBe('running')
  if (team) {
    for (const definition of Object.values(team.definitions))
      expect([...aws.revisions.keys()]).toContain(definition?.arn)
    expect(aws.accessPointsMade.size).toBeLessThanOrEqual(2)
    for (const role of aws.rolesMade.values()) expect(role.incarnation).toBe(team.incarnation)
  } else {
    expect(live).toEqual([])
    expect(aws.of(teamId)).toEqual([])
  }

  const entries = await world.ledger()
  expect(entries.map(({ sequence }) => sequence)).toEqual(entries.map((_, i) => i + 1))
}
