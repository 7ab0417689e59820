import { GetCommand } from '@aws-sdk/lib-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PREVIEW_IDLE_MS } from '../../../shared/contracts/limits.ts'
import type { PreviewBranch } from '../../../shared/contracts/preview-link.ts'
import { PreviewDirectoryItemSchema, PreviewLabelSchema, previewKeys } from '../../../shared/contracts/previews.ts'
import { linkOrders, recordPreviewReport } from '../../../shared/domain/environments/links.ts'
import type { PreviewEnvironment } from '../../../shared/domain/environments/schema.ts'
import { createdPreview, previewLogs, restartedPreview } from '../../../shared/domain/previews/answers.ts'
import { createPreview, restartPreview, stopPreview } from '../../../shared/domain/previews/operations.ts'
import { verifyTicket } from '../../../shared/domain/previews/signatures.ts'
import { previewEvents } from '../../../shared/domain/previews/socket.ts'
import { findPreview, previewsStatus } from '../../../shared/domain/previews/view.ts'
import { deleteTeamEnvironment, removeTeam, restartTeam, stopTeam } from '../../../shared/domain/teams/operations.ts'
import { teamView } from '../../../shared/domain/teams/view.ts'
import { startTables } from '../../support/local-tables.ts'
import { type TeamWorld, teamWorld } from '../../support/teams.ts'

let tables: Awaited<ReturnType<typeof startTables>>
beforeAll(async () => {
  tables = await startTables()
})
afterAll(() => tables.close())

const SECRET = 's'.repeat(43)
/** When the member's token ends. */
const TOKEN_ENDS = Date.parse('2030-01-01T00:00:00Z')
const TOKEN = `h.${Buffer.from(JSON.stringify({ exp: TOKEN_ENDS / 1000 })).toString('base64url')}.s`
const addresses = (world: TeamWorld) => ({
  ...world.deps,
  originPattern: 'https://{label}.preview.example.com',
  secret: async () => SECRET,
})
const asked = ({ teamId }: TeamWorld, branch: PreviewBranch = 'workspace', isPublic?: boolean) => ({
  branch,
  isPublic,
  member: { userId: 'user-1', teamId, token: TOKEN },
  correlationId: 'c-1',
})
const preview = (world: TeamWorld, branch: PreviewBranch = 'workspace') => findPreview(world.teamId, branch, world.deps)

async function directory({ preview: { label } }: Pick<PreviewEnvironment, 'preview'>) {
  const { Item } = await tables.client.send(
    new GetCommand({ TableName: 'previews', Key: { pk: previewKeys.label(label) }, ConsistentRead: true }),
  )
  return Item && PreviewDirectoryItemSchema.parse(Item)
}

/** A team whose preview of a branch runs and answers. */
async function running(branch: PreviewBranch = 'workspace') {
  const world = teamWorld(tables)
  await createPreview(asked(world, branch), world.deps)
  await world.settle()
  await says(world, branch)
  return world
}

async function says(world: TeamWorld, branch: PreviewBranch = 'workspace') {
  const record = await preview(world, branch)
  if (!record) throw new Error('no preview')
  const report = { phase: 'ready', projectType: 'vite', command: 'npm run dev' } as const
  await world.deps.publish(await recordPreviewReport(record, report, world.deps.clock.now(), world.deps))
}

const wake = async (world: TeamWorld, { id, preview: { label } }: PreviewEnvironment) =>
  world.handle({ kind: 'wake-preview', label, teamId: world.teamId, environmentId: id, correlationId: 'w-1' })

async function present(world: TeamWorld, branch: PreviewBranch = 'workspace'): Promise<PreviewEnvironment> {
  const record = await preview(world, branch)
  if (!record) throw new Error('no preview')
  return record
}

describe('creating', () => {
  it('brings up the team’s environment, workspace sync and the preview, and the gateway knows where it is', async () => {
    const world = await running()
    const record = await present(world)
    expect(record).toMatchObject({
      name: `covibes_preview_${world.teamId}_workspace`,
      status: 'running',
      preview: { branch: 'workspace', isPublic: false, address: expect.stringMatching(/^10\.0\.1\./) },
    })
    expect(PreviewLabelSchema.parse(record.preview.label)).toMatch(/^workspace-/)
    expect((await world.sync())?.status).toBe('running')
    expect(await directory(record)).toMatchObject({
      status: 'running',
      address: record.preview.address,
      port: record.preview.port,
      public: false,
      lastVisitAt: expect.any(Number),
    })
    const [item] = (await teamView(world.teamId, world.deps)).containers.filter(({ kind }) => kind === 'preview')
    expect(item?.ports).toEqual([record.preview.port])
  })

  it('is one record and one task, however many ask at once and however often', async () => {
    const world = teamWorld(tables)
    const all = await Promise.all([1, 2, 3, 4].map(() => createPreview(asked(world), world.deps)))
    expect(new Set(all.map(({ preview: { label, port } }) => `${label}:${port}`)).size).toBe(1)
    await world.settle()
    const before = await present(world)
    expect(await createPreview(asked(world), world.deps)).toEqual(before)
    expect([...world.ecs.tasks.values()].filter(({ startedBy }) => startedBy?.includes(before.id))).toHaveLength(1)
  })

  it('runs each branch on its own port, and has sync keep the trees of those that are not the agents’', async () => {
    const world = await running()
    world.link.isConnected = true
    const main = await createPreview(asked(world, 'main'), world.deps)
    expect(world.posted.at(-1)?.message).toEqual({ type: 'preview-branches', branches: ['main'] })
    await createPreview(asked(world, 'staging'), world.deps)
    expect(world.posted.at(-1)?.message).toEqual({ type: 'preview-branches', branches: ['main', 'staging'] })
    const sync = await world.sync()
    if (!sync) throw new Error('no sync')
    expect(await linkOrders({ ...sync, generation: 1 }, world.deps)).toEqual({
      sync: { purpose: 'sync', previews: ['main', 'staging'] },
    })
    await world.settle()
    await stopPreview(asked(world, 'main'), world.deps)
    expect(world.posted.at(-1)?.message).toEqual({ type: 'preview-branches', branches: ['staging'] })
    expect(main.preview.port).not.toBe((await present(world)).preview.port)
  })

  it('answers in the frontend’s shape, with an address that lets this member in once', async () => {
    const world = teamWorld(tables)
    const answer = await createdPreview(asked(world), addresses(world))
    expect(answer).toMatchObject({ mode: 'container', status: 'starting', port: expect.any(Number) })
    const { label } = (await present(world)).preview
    const [, host, ticket = ''] = /^https:\/\/([^/]+)\/__covibes\/enter\/([^/?]+)\/$/.exec(answer.url) ?? []
    expect(host).toBe(`${label}.preview.example.com`)
    expect(verifyTicket(ticket, SECRET, world.deps.clock.now().getTime())).toMatchObject({
      ok: true,
      value: { label, teamId: world.teamId, userId: 'user-1', until: TOKEN_ENDS },
    })
    expect((await createdPreview(asked(world), addresses(world))).url).not.toBe(answer.url)
  })

  it('is refused with words where there is no preview domain, before anything runs', async () => {
    const world = teamWorld(tables)
    const request = createdPreview(asked(world), { ...addresses(world), originPattern: undefined })
    await expect(request).rejects.toThrow('no preview domain')
    expect(await world.teams.get(world.teamId)).toBeUndefined()
  })

  it('is refused while the environment is taken down', async () => {
    const world = await running()
    await deleteTeamEnvironment(world.request, world.deps)
    await expect(createPreview(asked(world), world.deps)).rejects.toThrow('being taken down')
  })

  it('lets the team say who may look, at any time', async () => {
    const world = await running()
    expect((await createPreview(asked(world, 'workspace', true), world.deps)).preview.isPublic).toBe(true)
    expect((await createPreview(asked(world), world.deps)).preview.isPublic).toBe(true)
    expect(await directory(await present(world))).toMatchObject({ public: true, status: 'running' })
    await createPreview(asked(world, 'workspace', false), world.deps)
    expect(await directory(await present(world))).toMatchObject({ public: false })
  })
})

describe('status', () => {
  it('is never “running”, which the frontend would answer with an address of its own', async () => {
    const nobody = teamWorld(tables)
    expect(await previewsStatus(nobody.teamId, nobody.deps)).toMatchObject({
      mode: 'container',
      workspace: { status: 'stopped', port: null },
    })
    const world = await running()
    expect(await previewsStatus(world.teamId, world.deps)).toMatchObject({
      workspace: { status: 'ready', projectType: 'vite', command: 'npm run dev', port: expect.any(Number) },
      main: { status: 'stopped' },
    })
  })

  it('is told to the team as it changes', async () => {
    const world = await running()
    await stopPreview(asked(world), world.deps)
    const told = world.published.flatMap(({ event }) =>
      event?.[0] === 'preview-status-update' ? [event[1].status] : [],
    )
    expect(told).toEqual(['starting', 'running', 'stopped'])
  })
})

describe('stopping and restarting', () => {
  it('gives the port back, and a later start takes one again at the same host', async () => {
    const world = await running()
    const before = await present(world)
    await stopPreview(asked(world), world.deps)
    await world.settle()
    const stopped = await present(world)
    expect(stopped.status).toBe('killed')
    expect(stopped.preview).not.toHaveProperty('port')
    const item = await directory(stopped)
    expect(item).toMatchObject({ status: 'killed', idle: false })
    expect(item).not.toHaveProperty('port')
    expect(item).not.toHaveProperty('address')
    await createPreview(asked(world), world.deps)
    await world.settle()
    const again = await present(world)
    expect(again).toMatchObject({ status: 'running', generation: 2, preview: { label: before.preview.label } })
    expect(again.preview.port).toBeGreaterThanOrEqual(5000)
  })

  it('restarts with the port it has, and another task', async () => {
    const world = await running()
    const before = await present(world)
    const answer = await restartedPreview(asked(world), addresses(world))
    expect(answer).toMatchObject({ status: 'starting', port: before.preview.port })
    await world.settle()
    const after = await present(world)
    expect(after).toMatchObject({ status: 'running', generation: 2, preview: { port: before.preview.port } })
    expect(after.task?.arn).not.toBe(before.task?.arn)
  })

  it('of what is not there starts it, or stops nothing', async () => {
    const world = teamWorld(tables)
    expect(await stopPreview(asked(world), world.deps)).toBeUndefined()
    await restartPreview(asked(world), world.deps)
    await world.settle()
    expect(await present(world)).toMatchObject({ status: 'running', generation: 1 })
  })

  it('follows the team’s environment', async () => {
    const world = await running()
    await restartTeam(world.request, world.deps)
    await world.settle()
    expect(await present(world)).toMatchObject({ status: 'running', generation: 2 })
    await stopTeam(world.request, world.deps)
    await world.settle()
    expect((await present(world)).status).toBe('killed')
    expect((await world.sync())?.status).toBe('killed')
  })

  it('goes with the team: record, port and host', async () => {
    const world = await running()
    const record = await present(world)
    await removeTeam(world.request, world.deps)
    await world.settle()
    expect(await world.teams.get(world.teamId)).toBeUndefined()
    expect(await world.environments.get(record)).toBeUndefined()
    expect(await directory(record)).toBeUndefined()
    expect(world.aws.of(world.teamId)).toEqual([])
  })

  it('mounts the team’s files and, through an access point of its own, the cache of the team’s previews', async () => {
    const { aws, teams, teamId } = await running()
    const team = await teams.get(teamId)
    const { preview: files, cache } = team?.accessPoints ?? {}
    expect(cache?.id).not.toBe(files?.id)
    expect(aws.revisions.get(team?.definitions.preview?.arn ?? '')).toMatchObject({
      accessPointIds: { preview: files?.id, cache: cache?.id },
    })
    expect(aws.rolesMade.get(`preview-${teamId}`)).toMatchObject({
      accessPointArns: { preview: files?.arn, cache: cache?.arn },
    })
  })

  it('of a team from before there was a cache gets one at its next start, with the role and access point it has', async () => {
    const world = await running()
    const { aws, teams, teamId } = world
    const before = await teams.get(teamId)
    await aws.accessPoints.delete(before?.accessPoints.cache?.id ?? '')
    await teams.change(teamId, ({ accessPoints: { cache: _, ...accessPoints }, roles, ...team }) => ({
      ...team,
      accessPoints,
      roles: { ...roles, ...(roles.preview ? { preview: { arn: roles.preview.arn } } : {}) },
    }))
    await restartPreview(asked(world), world.deps)
    await world.settle()
    expect(await present(world)).toMatchObject({ status: 'running', generation: 2 })
    const after = await teams.get(teamId)
    expect(after?.accessPoints.preview).toEqual(before?.accessPoints.preview)
    expect(after?.roles.preview?.arn).toBe(before?.roles.preview?.arn)
    expect(after?.accessPoints.cache).toMatchObject({ available: true })
    expect(aws.rolesMade.get(`preview-${teamId}`)?.accessPointArns.cache).toBe(after?.accessPoints.cache?.arn)
    expect(after?.definitions.preview?.arn).not.toBe(before?.definitions.preview?.arn)
    expect(aws.revisions.get(after?.definitions.preview?.arn ?? '')?.accessPointIds.cache).toBe(
      after?.accessPoints.cache?.id,
    )
    await restartPreview(asked(world), world.deps)
    await world.settle()
    expect((await teams.get(teamId))?.definitions).toEqual(after?.definitions)
  })
})

describe('idleness', () => {
  const visited = async (record: PreviewEnvironment, at: number) => {
    const { UpdateCommand } = await import('@aws-sdk/lib-dynamodb')
    await tables.client.send(
      new UpdateCommand({
        TableName: 'previews',
        Key: { pk: previewKeys.label(record.preview.label) },
        UpdateExpression: 'SET lastVisitAt = :at',
        ExpressionAttributeValues: { ':at': at },
      }),
    )
  }

  async function idle() {
    const world = await running()
    world.pass(PREVIEW_IDLE_MS)
    await world.minute()
    await world.settle()
    return world
  }

  it('stops a preview that nobody visits, and a visit starts it with workspace sync', async () => {
    const world = await idle()
    const record = await present(world)
    expect(record).toMatchObject({
      status: 'killed',
      reason: expect.stringMatching(/nobody visited it for 30 minutes/),
    })
    expect(await directory(record)).toMatchObject({ status: 'killed', idle: true })
    world.pass(PREVIEW_IDLE_MS)
    await world.minute()
    await world.settle()
    expect((await world.sync())?.status).toBe('killed')
    await wake(world, record)
    await world.settle()
    expect((await present(world)).status).toBe('running')
    expect((await world.sync())?.status).toBe('running')
    // It has only just started: the visit that woke it may not be noted yet.
    await world.minute()
    await world.settle()
    expect((await present(world)).status).toBe('running')
  })

  it('does not touch one that is visited, and visits outlive changes of the record', async () => {
    const world = await running()
    world.pass(PREVIEW_IDLE_MS)
    const at = world.deps.clock.now().getTime()
    await visited(await present(world), at)
    await createPreview(asked(world, 'workspace', true), world.deps)
    expect(await directory(await present(world))).toMatchObject({ lastVisitAt: at, public: true })
    await world.minute()
    await world.settle()
    expect((await present(world)).status).toBe('running')
  })

  it('wakes once, whoever asks how often, and nothing else', async () => {
    const world = await idle()
    const record = await present(world)
    await wake(world, { ...record, preview: { ...record.preview, label: 'workspace-bbbbbbbbbbbbbbbbbbbb' } })
    expect((await present(world)).status).toBe('killed')
    await Promise.all([wake(world, record), wake(world, record), wake(world, record)])
    await world.settle()
    expect(await present(world)).toMatchObject({ status: 'running', generation: 2 })
    await wake(world, record)
    expect(await present(world)).toMatchObject({ status: 'running', generation: 2 })
  })

  it('is over when a member stops it, or the environment: no visit starts it then', async () => {
    for (const stop of [
      (world: TeamWorld) => stopPreview(asked(world), world.deps),
      (world: TeamWorld) => stopTeam(world.request, world.deps),
    ]) {
      const world = await idle()
      await stop(world)
      await world.settle()
      const record = await present(world)
      expect(await directory(record)).toMatchObject({ idle: false })
      await wake(world, record)
      expect((await present(world)).status).toBe('killed')
    }
  })
})

describe('the socket', () => {
  it('gives a member an address, asks sync for a round, and stops', async () => {
    const world = await running()
    world.link.isConnected = true
    const user = { userId: 'user-2', teamId: world.teamId }
    const events = previewEvents(addresses(world))
    const member = { user, until: TOKEN_ENDS }
    expect(await events.status(member, 'workspace')).toMatchObject({
      branch: 'workspace',
      status: 'running',
      url: expect.stringContaining('/__covibes/enter/'),
    })
    expect(await events.status({ user, until: world.deps.clock.now().getTime() }, 'workspace')).not.toHaveProperty(
      'url',
    )
    await events.refresh(user)
    expect(world.posted.at(-1)?.message).toEqual({ type: 'sync-now' })
    expect(await events.stop(user, 'workspace', 'c-2')).toMatchObject({ status: 'stopped' })
    expect(await events.status(member, 'workspace')).not.toHaveProperty('url')
    expect(await events.status(member, 'main')).toEqual({ branch: 'main', status: 'stopped' })
  })
})

describe('the log', () => {
  it('is the dev server’s, and 404 without a preview', async () => {
    const world = await running()
    const log = {
      readNewest: async () => [{ position: 0, generation: 1, offset: 0, data: 'VITE ready\n', at: 0 }],
      readFrom: async () => ({ chunks: [], more: false }),
    }
    const query = { limit: 10 }
    const request = { teamId: world.teamId, branch: 'workspace' } as const
    expect(await previewLogs(request, query, log, world.deps)).toMatchObject({ branch: 'workspace', truncated: false })
    await expect(previewLogs({ ...request, branch: 'main' }, query, log, world.deps)).rejects.toThrow(
      'no preview of main',
    )
  })
})
