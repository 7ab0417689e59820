/** A team's environment on real stores, with simulated ECS, EFS and IAM, a clock that tests move, and a queue that they work off. */
import { createEnvironmentStore } from '../../shared/adapters/dynamodb/environment-store.ts'
import { createLedgerStore } from '../../shared/adapters/dynamodb/ledger-store.ts'
import { createPreviewVisits } from '../../shared/adapters/dynamodb/preview-directory.ts'
import { createTeamStore } from '../../shared/adapters/dynamodb/team-store.ts'
import { PREVIEW_IDLE_MS } from '../../shared/contracts/limits.ts'
import type { LinkDown } from '../../shared/contracts/link.ts'
import type { Work } from '../../shared/contracts/work.ts'
import type { Actor } from '../../shared/domain/actor.ts'
import { observeTask, startEnvironment, startOf, stopEnvironment } from '../../shared/domain/environments/operations.ts'
import { reconcile } from '../../shared/domain/environments/reconcile.ts'
import type { Environment, SyncEnvironment } from '../../shared/domain/environments/schema.ts'
import type { LedgerEntry } from '../../shared/domain/ledger/schema.ts'
import { wakePreview } from '../../shared/domain/previews/operations.ts'
import { linkOr } from '../../shared/domain/realtime/link-state.ts'
import { ensureTeamEnvironment, stopSyncLast, type TeamDeps } from '../../shared/domain/teams/operations.ts'
import { prepareTeamTask } from '../../shared/domain/teams/prepare.ts'
import { removeTeamStep } from '../../shared/domain/teams/removal.ts'
import { tendTeams } from '../../shared/domain/teams/tend.ts'
import { environment, NOW, spawnEntry } from './environments.ts'
import type { startTables } from './local-tables.ts'
import { SimulatedEcs } from './simulated-ecs.ts'
import { SimulatedTeamResources } from './simulated-team-resources.ts'

let worlds = 0

export interface Queued {
  readonly work: Work
  readonly delaySeconds: number
}

export function teamWorld(tables: Awaited<ReturnType<typeof startTables>>) {
  const teamId = `world-${++worlds}-${process.pid}`
  let now = NOW.getTime()
  let ids = 0
  const ecs = new SimulatedEcs()
  ecs.now = () => new Date(now)
  const aws = new SimulatedTeamResources()
  const queue: Queued[] = []
  const published: LedgerEntry[] = []
  const warnings: string[] = []
  const agents: string[] = []
  /** Exit codes of the runs of the task that erases; 0 when there are no more. */
  const eraserExits: number[] = []
  const store = createEnvironmentStore(tables.client, 'environments', 'previews')
  const teamStore = createTeamStore(tables.client, 'environments')
  const ledger = createLedgerStore(tables.client, 'environments')
  // Other worlds share the table: what looks at all teams sees this one only.
  const environments: typeof store = {
    ...store,
    async listByStatus(...args) {
      const page = await store.listByStatus(...args)
      return { ...page, records: page.records.filter((record) => record.teamId === teamId) }
    },
  }
  const teams: typeof teamStore = {
    ...teamStore,
    async listRemoving(page) {
      const found = await teamStore.listRemoving(page)
      return { ...found, teams: found.teams.filter((team) => team.teamId === teamId) }
    },
  }
  /** What was posted to links; sync's is connected when `syncLink` is set. */
  const posted: { connectionId: string; message: LinkDown }[] = []
  const link = { isConnected: false }
  const deps = {
    environments,
    teams,
    ledger,
    clock: { now: () => new Date(now) },
    publish: async (entries: readonly LedgerEntry[]) => void published.push(...entries),
    queue: { send: async (work: Work, delaySeconds = 0) => void queue.push({ work, delaySeconds }) },
    tasks: ecs,
    linkSecret: async () => 'secret',
    log: { agentStarted() {}, containerError() {} },
    warn: (message: string) => void warnings.push(message),
    newId: () => `0198c0de-0000-7000-8000-${String(++ids).padStart(12, '0')}`,
    accessPoints: aws.accessPoints,
    roles: aws.roles,
    definitions: aws.definitions,
    secrets: aws.secrets,
    prepare: (record: Environment) => prepareTeamTask(record, deps),
    visits: createPreviewVisits(tables.client, 'previews'),
    previewIdleMs: PREVIEW_IDLE_MS,
    links: {
      get: async ({ id }: { id: string }) =>
        link.isConnected ? { ...linkOr(undefined, now), connectionId: id } : undefined,
      put: async () => true,
    },
    poster: {
      post: async (connectionId: string, text: string) => {
        posted.push({ connectionId, message: JSON.parse(text) as LinkDown })
        return 'sent' as const
      },
      close: async () => undefined,
    },
    sleep: async () => undefined,
    profiles: { of: async (actor: Actor) => ({ ...actor, userName: 'Ann', repositoryUrl: null, known: false }) },
    allowLoopbackRepositories: false,
  } satisfies TeamDeps & Record<string, unknown>
  const by = { userId: 'user-1', userName: 'Ann' }
  const request = { teamId, by, correlationId: 'c-1' }

  /** One message as the queue's worker handles it; a failure is the caller's. */
  async function handle(work: Work): Promise<void> {
    if (work.kind === 'start-environment') await startEnvironment(work, deps)
    else if (work.kind === 'stop-environment') await stopEnvironment(work, deps)
    else if (work.kind === 'stop-team') await stopSyncLast(work, deps)
    else if (work.kind === 'remove-team') await removeTeamStep(work, deps)
    else if (work.kind === 'wake-preview') await wakePreview(work, deps)
  }

  const world = {
    teamId,
    client: tables.client,
    ecs,
    aws,
    queue,
    published,
    warnings,
    agents,
    eraserExits,
    posted,
    link,
    deps,
    request,
    environments,
    teams,
    handle,
    ledger: () => ledger.readAfter(teamId, 0, 1000),
    pass(ms: number) {
      now += ms
    },
    ensure: (url: string | null = null, known = false) =>
      ensureTeamEnvironment({ ...request, repository: { url, known } }, deps),
    async spawn(): Promise<Environment | undefined> {
      const { slot: _, ...free } = environment({
        teamId,
        id: `agent-${agents.length}`,
        createdAt: new Date(now).toISOString(),
      })
      const made = await environments.create({ record: free, entry: spawnEntry, slots: 3 })
      if (made.outcome !== 'created') return undefined
      agents.push(free.id)
      queue.push({ work: startOf(made.record), delaySeconds: 0 })
      return made.record
    },
    agent: (n = 0) => environments.get({ teamId, id: agents[n] ?? 'none' }),
    async sync(): Promise<SyncEnvironment | undefined> {
      return (await environments.listByTeam(teamId, 'sync', { limit: 10 })).records.find(
        ({ sync }) => sync.purpose === 'sync',
      )
    },
    /**
     * Works off the queue and tells what ECS did, until nothing happens any more; delays pass at once. `minutes`: what is done once a minute is
     * done when a minute has passed by them, as what is waited for may need it.
     */
    async settle({ minutes = false } = {}): Promise<void> {
      let seen = 0
      let lastMinute = now
      for (let round = 0; round < 200; round++) {
        const next = queue.shift()
        if (next) {
          now += next.delaySeconds * 1000
          await handle(next.work)
        }
        if (minutes && now - lastMinute >= 60_000) {
          lastMinute = now
          await reconcile(deps)
          await tendTeams(deps)
        }
        ecs.advance()
        // The task that erases ends by itself.
        await eraserEnds()
        for (; seen < ecs.events.length; seen++) await observeTask(ecs.events[seen] as never, deps)
        if (queue.length === 0 && seen === ecs.events.length) return
      }
      throw new Error(`the queue does not end: ${JSON.stringify(queue.slice(0, 3))}`)
    },
    async minute(): Promise<void> {
      now += 60_000
      await reconcile(deps)
      await tendTeams(deps)
    },
  }

  async function eraserEnds(): Promise<void> {
    const { records } = await environments.listByTeam(teamId, 'sync', { limit: 10 })
    for (const record of records) {
      const running = record.sync.purpose === 'erase' && record.status === 'running' && record.task
      if (running) ecs.exitOf(running.arn, eraserExits.shift() ?? 0)
    }
  }
  return world
}
export type TeamWorld = ReturnType<typeof teamWorld>

/** A team with workspace sync and `agents` agents, all running. */
export async function runningTeam(
  tables: Parameters<typeof teamWorld>[0],
  agents: number,
  repositoryUrl: string | null = null,
): Promise<TeamWorld> {
  const world = teamWorld(tables)
  await world.ensure(repositoryUrl)
  for (let n = 0; n < agents; n++) await world.spawn()
  await world.settle()
  const { records } = await world.environments.listAllOfTeam(world.teamId, { limit: 100 })
  const statuses = records.map(({ status }) => status)
  if (statuses.length !== agents + 1 || statuses.some((status) => status !== 'running'))
    throw new Error(`the team does not run: ${JSON.stringify(records)}`)
  return world
}
