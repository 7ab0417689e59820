/**
 * Random lives of agents with everything that can go wrong on the way: after at most two reconcile cycles in a healthy world
 * the invariants hold. The failing case's seed and path stand in fast-check's message.
 */
import fc from 'fast-check'
import { expect } from 'vitest'
import { createEnvironmentStore } from '../../shared/adapters/dynamodb/environment-store.ts'
import { createLedgerStore } from '../../shared/adapters/dynamodb/ledger-store.ts'
import type { Work } from '../../shared/contracts/work.ts'
import { sendEvent, startEnvironment, startOf, stopEnvironment } from '../../shared/domain/environments/operations.ts'
import { reconcile, SETTLING_MS } from '../../shared/domain/environments/reconcile.ts'
import { isFinal } from '../../shared/domain/environments/transitions.ts'
import type { LedgerEntry } from '../../shared/domain/ledger/schema.ts'
import { environment, NOW, spawnEntry } from '../support/environments.ts'
import type { startTables } from '../support/local-tables.ts'
import { ECS_STEPS, playEcs } from '../support/random-lives.ts'
import { SimulatedEcs } from '../support/simulated-ecs.ts'
import { simulation } from '../support/simulation.ts'

const agent = fc.nat({ max: 3 })
const step = fc.oneof(
  fc.record({ do: fc.constant('spawn' as const) }),
  fc.record({ do: fc.constant('stop' as const), agent }),
  fc.record({ do: fc.constant('delete' as const), agent }),
  fc.record({ do: fc.constant('restart' as const), agent }),
  /** Takes a queue message: once, twice, or loses it. */
  fc.record({ do: fc.constant('work' as const), n: fc.nat(), times: fc.integer({ min: 0, max: 2 }) }),
  ...ECS_STEPS,
)

let worlds = 0
function createWorld(tables: Awaited<ReturnType<typeof startTables>>) {
  const teamId = `world-${++worlds}`
  let now = NOW.getTime()
  const ecs = new SimulatedEcs()
  const queue: Work[] = []
  const published: LedgerEntry[] = []
  const environments = createEnvironmentStore(tables.client, 'environments')
  const deps = {
    environments,
    clock: { now: () => new Date(now) },
    publish: async (entries: readonly LedgerEntry[]) => void published.push(...entries),
    queue: { send: async (work: Work) => void queue.push(work) },
    tasks: ecs,
    prepare: async () => ({ outcome: 'ready' as const, taskDefinition: 'team:1', container: 'agent' }),
    linkSecret: async () => 'secret',
    log: { agentStarted() {}, containerError() {} },
  }
  const ids: string[] = []
  const ledger = createLedgerStore(tables.client, 'environments')
  return {
    teamId,
    ecs,
    queue,
    published,
    environments,
    deps,
    ids,
    ledger: () => ledger.readAfter(teamId, 0, 1000),
    pass: (ms: number) => {
      now += ms
    },
    async spawn() {
      const { slot: _, ...free } = environment({ teamId, id: `agent-${ids.length}` })
      const made = await environments.create({ record: free, entry: spawnEntry, slots: 3 })
      if (made.outcome !== 'created') return
      ids.push(free.id)
      queue.push(startOf(made.record))
    },
    async ask(n: number, type: 'stop-requested' | 'delete-requested' | 'restart-requested') {
      const id = ids[n]
      const record = id === undefined ? undefined : await environments.get({ teamId, id })
      if (!record) return
      // Without a free lease a restart is refused.
      const done = await sendEvent(record, { type, member: { userId: 'u' }, slots: 3 }, 'c', deps).catch(
        () => undefined,
      )
      if (done?.record.status === 'requested') queue.push(startOf(done.record))
      if (done?.record.status === 'stopping') {
        const { id: environmentId, generation } = done.record
        queue.push({ kind: 'stop-environment', teamId, environmentId, generation, correlationId: 'c' })
      }
    },
    /** What the queue does: a message whose handler throws comes again. */
    async work(work: Work) {
      try {
        if (work.kind === 'start-environment') await startEnvironment(work, deps)
        else if (work.kind === 'stop-environment') await stopEnvironment(work, deps)
      } catch {
        queue.push(work)
      }
    },
  }
}
type World = ReturnType<typeof createWorld>

async function play(world: World, action: typeof step extends fc.Arbitrary<infer S> ? S : never): Promise<void> {
  const { queue } = world
  switch (action.do) {
    case 'spawn':
      return world.spawn()
    case 'stop':
      return world.ask(action.agent, 'stop-requested')
    case 'delete':
      return world.ask(action.agent, 'delete-requested')
    case 'restart':
      return world.ask(action.agent, 'restart-requested')
    case 'work': {
      const [work] = queue.splice(action.n % Math.max(queue.length, 1), 1)
      for (let time = 0; work && time < action.times; time++) await world.work(work)
      return
    }
    case 'advance':
    case 'exit':
    case 'event':
    case 'run-fault':
    case 'stop-fault':
    case 'forget':
      return playEcs(world, action)
  }
}

/** Other worlds share the table: a reconciler that sees one world only. */
const ownRecords = ({ environments, teamId }: World) => ({
  ...environments,
  listByStatus: async (...args: Parameters<typeof environments.listByStatus>) => {
    const page = await environments.listByStatus(...args)
    return { ...page, records: page.records.filter((record) => record.teamId === teamId) }
  },
})

const lives = fc.array(step, { minLength: 5, maxLength: 40 })
simulation('two reconcile cycles heal whatever was lost', lives, 60, async (steps, tables) => {
  const world = createWorld(tables)
  await world.spawn()
  for (const action of steps) await play(world, action)

  // A healthy world from here on; every message and event that is still under way is lost.
  world.ecs.runFaults = []
  world.ecs.stopFails = 0
  const deps = { ...world.deps, environments: ownRecords(world) }
  for (let cycle = 0; cycle < 2; cycle++) {
    world.queue.length = 0
    world.pass(SETTLING_MS + 1)
    await reconcile(deps)
    for (const work of world.queue.splice(0)) await world.work(work)
    world.ecs.advance()
  }
  await reconcile(deps)
  await holds(world)
})

async function holds(world: World): Promise<void> {
  const { teamId, environments, ecs, ids } = world
  const records = (await Promise.all(ids.map((id) => environments.get({ teamId, id })))).flatMap(
    (record) => record ?? [],
  )
  const live = records.filter(({ status }) => !isFinal(status))

  for (const record of live) {
    expect(record.status, `${record.id}: ${JSON.stringify(record)}`).toBe('running')
    expect(ecs.tasks.get(record.task?.arn ?? '')?.desiredStatus).toBe('RUNNING')
  }
  const wanted = live.map(({ task }) => task?.arn).sort()
  expect((await ecs.listRunning()).sort()).toEqual(wanted)
  for (const record of records.filter(({ status }) => status === 'failed' || status === 'killed'))
    expect(record.reason).toBeTruthy()

  // Slots are held by live records and by nobody else.
  const slots = live.map(({ slot }) => slot)
  expect(new Set(slots).size).toBe(live.length)
  for (const record of records) expect(record.slot === undefined).toBe(isFinal(record.status))
  let free = 0
  while ((await tryToSpawn(world, free)) === 'created') free++
  expect(free).toBe(3 - live.length)

  // The ledger has no gaps, and each record's entries follow one another.
  const entries = await world.ledger()
  expect(entries.map(({ sequence }) => sequence)).toEqual(entries.map((_, i) => i + 1))
  for (const id of ids) {
    const story = entries.flatMap(({ environment: change }) => (change?.id === id ? [change] : []))
    story.forEach((change, i) => {
      if (i > 0) expect(change.from).toBe(story[i - 1]?.to)
    })
    const told = entries.flatMap(({ environment: change, event }) =>
      change?.id === id && event ? [`${change.generation} ${JSON.stringify(event)}`] : [],
    )
    expect(new Set(told).size).toBe(told.length)
  }
}

async function tryToSpawn({ environments, teamId }: World, n: number) {
  const { slot: _, ...free } = environment({ teamId, id: `probe-${n}` })
  return (await environments.create({ record: free, entry: spawnEntry, slots: 3 })).outcome
}
