/**
 * Random lives of a team's previews: created, shown to everybody, visited, idle, woken, stopped, restarted, taken down with their team, while
 * messages and events are lost, late and doubled. A lease is held by a live record and by nobody else after every single step; in a
 * healthy world everything agrees soon after. The failing case's seed and path stand in fast-check's message.
 */
import { GetCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb'
import fc from 'fast-check'
import { expect } from 'vitest'
import { PREVIEW_IDLE_MS } from '../../shared/contracts/limits.ts'
import type { PreviewBranch } from '../../shared/contracts/preview-link.ts'
import { type PreviewDirectoryItem, PreviewDirectoryItemSchema, previewKeys } from '../../shared/contracts/previews.ts'
import { recordPreviewReport } from '../../shared/domain/environments/links.ts'
import type { PreviewEnvironment } from '../../shared/domain/environments/schema.ts'
import { isFinal } from '../../shared/domain/environments/transitions.ts'
import { directoryItemOf } from '../../shared/domain/previews/directory-item.ts'
import { createPreview, restartPreview, stopPreview } from '../../shared/domain/previews/operations.ts'
import { findPreview } from '../../shared/domain/previews/view.ts'
import { deleteTeamEnvironment, restartTeam, stopTeam } from '../../shared/domain/teams/operations.ts'
import { portLeases } from '../support/previews.ts'
import { asked, heal, playEcs, removesAgain, TEAM_STEPS, work } from '../support/random-lives.ts'
import { simulation } from '../support/simulation.ts'
import { type TeamWorld, teamWorld } from '../support/teams.ts'

const branch = fc.constantFrom<PreviewBranch>('workspace', 'workspace', 'main', 'staging')
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('create' as const),
      branch,
      isPublic: fc.constantFrom(undefined, undefined, true, false),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('restart' as const, 'stop'), branch }) },
  { weight: 9, arbitrary: fc.record({ do: fc.constant('visit' as const), branch }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('report' as const), branch, phase: fc.constantFrom('ready', 'failed') }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('stop-team' as const, 'restart-team', 'take-down') }) },
  ...TEAM_STEPS,
  { weight: 3, arbitrary: fc.record({ do: fc.constant('minute' as const), minutes: fc.constantFrom(1, 2) }) },
  /** What was under way has come to its end, and then nobody comes for half an hour; `hasEnded`: nor before the stop is through. */
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('idle' as const), hasEnded: fc.boolean(), visitorOf: fc.option(branch) }),
  },
  /** Messages are worked off and events arrive, so that lives get further than their first trouble. */
  { weight: 3, arbitrary: fc.record({ do: fc.constant('settle' as const) }) },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

/** What must be in every run: woken after the stop and in the middle of it, twice, and too late. */
const WOKEN: Step[] = [false, true].flatMap((hasEnded): Step[] => [
  { do: 'settle' },
  { do: 'idle', hasEnded, visitorOf: 'workspace' },
  { do: 'visit', branch: 'workspace' },
  { do: 'work', messages: [{ n: 1, times: 2 }] },
  { do: 'settle' },
])

const member = ({ teamId }: TeamWorld) => ({ userId: 'user-1', teamId, token: 'token' })
const asks = (world: TeamWorld, of: PreviewBranch) => ({ branch: of, member: member(world), correlationId: 'c' })

async function inDirectory({ client }: TeamWorld, label: string): Promise<PreviewDirectoryItem | undefined> {
  const { Item } = await client.send(
    new GetCommand({ TableName: 'previews', Key: { pk: previewKeys.label(label) }, ConsistentRead: true }),
  )
  return Item && PreviewDirectoryItemSchema.parse(Item)
}

/** As the gateway does it: one that is up or on its way is noted as visited, one that is idle is to be woken. */
async function visit(world: TeamWorld, of: PreviewBranch): Promise<void> {
  const { teamId, queue, client } = world
  const record = await findPreview(teamId, of, world.deps)
  if (!record) return
  const { label } = record.preview
  const item = await inDirectory(world, label)
  if (item?.idle) {
    const work = { kind: 'wake-preview', label, teamId, environmentId: item.environmentId, correlationId: 'w' } as const
    queue.push({ work, delaySeconds: 0 })
  } else if (item && !isFinal(item.status) && item.status !== 'stopping')
    await client.send(
      new UpdateCommand({
        TableName: 'previews',
        Key: { pk: previewKeys.label(label) },
        UpdateExpression: 'SET lastVisitAt = :now',
        ConditionExpression: 'attribute_exists(pk)',
        ExpressionAttributeValues: { ':now': world.deps.clock.now().getTime() },
      }),
    )
}

async function report(world: TeamWorld, of: PreviewBranch, phase: 'ready' | 'failed'): Promise<void> {
  const record = await findPreview(world.teamId, of, world.deps)
  const now = world.deps.clock.now()
  if (record) await world.deps.publish(await recordPreviewReport(record, { phase, reason: phase }, now, world.deps))
}

/** `labels`: takes in the host of every preview that there has ever been. */
async function play(world: TeamWorld, action: Step, labels: Set<string>): Promise<void> {
  const { deps, request } = world
  const started = async (start: typeof createPreview, isPublic?: boolean) => {
    if (!('branch' in action)) return
    const { preview } = await start({ ...asks(world, action.branch), isPublic }, deps)
    labels.add(preview.label)
  }
  switch (action.do) {
    case 'create':
      return asked(started(createPreview, action.isPublic))
    case 'restart':
      return asked(started(restartPreview))
    case 'stop':
      return asked(stopPreview(asks(world, action.branch), deps))
    case 'visit':
      return visit(world, action.branch)
    case 'report':
      return report(world, action.branch, action.phase)
    case 'stop-team':
      return asked(stopTeam(request, deps))
    case 'restart-team':
      return asked(restartTeam(request, deps))
    case 'take-down':
      return asked(deleteTeamEnvironment(request, deps))
    case 'work':
      return work(world, action.messages)
    case 'advance':
    case 'exit':
    case 'event':
    case 'run-fault':
    case 'stop-fault':
    case 'forget':
      return playEcs(world, action)
    case 'minute':
      world.pass((action.minutes - 1) * 60_000)
      return world.minute().catch(() => undefined)
    case 'idle':
      await world.settle().catch(() => undefined)
      world.pass(PREVIEW_IDLE_MS)
      await world.minute().catch(() => undefined)
      if (action.hasEnded) await world.settle().catch(() => undefined)
      return action.visitorOf === null ? undefined : visit(world, action.visitorOf)
    case 'settle':
      return world.settle().catch(() => undefined)
  }
}

async function previewsOf(world: TeamWorld): Promise<PreviewEnvironment[]> {
  const { records } = await world.environments.listByTeam(world.teamId, 'preview', { limit: 10 })
  return records
}

/** A port is held by exactly the live records, each its own. */
async function leasesHold(world: TeamWorld): Promise<void> {
  const records = await previewsOf(world)
  const live = records.filter(({ status }) => !isFinal(status))
  const leases = await portLeases(world.client, 'environments')
  const ofTeam = [...leases].filter(([, holder]) => holder.startsWith(`${world.teamId}/`)).sort()
  const shown = JSON.stringify(records, null, 1)
  expect(ofTeam, shown).toEqual(live.map(({ teamId, id, preview }) => [preview.port, `${teamId}/${id}`]).sort())
  for (const { preview } of records.filter(({ status }) => isFinal(status)))
    expect(preview, shown).not.toHaveProperty('port')
}

async function live(steps: Step[], tables: Parameters<typeof teamWorld>[0]): Promise<void> {
  const world = teamWorld(tables)
  const labels = new Set<string>()
  for (const action of [{ do: 'create', branch: 'workspace', isPublic: undefined } as const, ...steps]) {
    await play(world, action, labels)
    await leasesHold(world)
  }
  await heal(
    world,
    removesAgain(world, () => deleteTeamEnvironment(world.request, world.deps)),
  )
  await holds(world, labels)
}

const lives = fc.array(step, { minLength: 10, maxLength: 50 })
simulation('previews come to rest, and no port is ever held by nobody or by two', lives, 15, live, [WOKEN])

async function holds(world: TeamWorld, labels: ReadonlySet<string>): Promise<void> {
  await leasesHold(world)
  const records = await previewsOf(world)
  const shown = JSON.stringify(records, null, 1)

  // Every live record runs in a task of its own, whose address the gateway has.
  const live = records.filter(({ status }) => !isFinal(status))
  for (const { status, task, preview } of live) {
    expect(status, shown).toBe('running')
    expect(preview.address, shown).toBe(world.ecs.tasks.get(task?.arn ?? '')?.address)
  }
  const sync = await world.sync()
  const wanted = [...live, ...(sync && !isFinal(sync.status) ? [sync] : [])].map(({ task }) => task?.arn)
  expect((await world.ecs.listRunning()).sort(), shown).toEqual(wanted.sort())
  if (live.length > 0) expect(sync?.status, shown).toBe('running')
  for (const record of records.filter(({ status }) => status === 'failed' || status === 'killed'))
    expect(record.reason, shown).toBeTruthy()

  // The gateway knows of each what the record says, and of what was taken down nothing.
  for (const record of records) {
    const { lastVisitAt, ...item } = (await inDirectory(world, record.preview.label)) ?? {}
    expect(item, shown).toEqual(directoryItemOf(record))
    expect(lastVisitAt, shown).toBeGreaterThan(0)
  }
  const kept = new Set(records.map(({ preview }) => preview.label))
  for (const label of labels) if (!kept.has(label)) expect(await inDirectory(world, label)).toBeUndefined()

  const entries = await world.ledger()
  expect(entries.map(({ sequence }) => sequence)).toEqual(entries.map((_, i) => i + 1))
}
