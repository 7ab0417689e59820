import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TeamEnvironmentViewSchema } from '../../../shared/contracts/environments.ts'
import { createEnvironment } from '../../../shared/domain/teams/create.ts'
import { deleteTeamEnvironment } from '../../../shared/domain/teams/operations.ts'
import { ofOwnTeam } from '../../../shared/domain/teams/own-team.ts'
import { syncIdOf } from '../../../shared/domain/teams/sync-record.ts'
import { teamView } from '../../../shared/domain/teams/view.ts'
import { toHttpError } from '../../../shared/runtime/errors-to-http.ts'
import { agentsOf } from '../../support/agents.ts'
import { NOW, observed, sendTo, TASK_ARN } from '../../support/environments.ts'
import { startTables } from '../../support/local-tables.ts'

const REPOSITORY = 'https://github.com/test/repo.git'

describe("a team's environment", () => {
  let tables: Awaited<ReturnType<typeof startTables>>
  beforeAll(async () => {
    tables = await startTables()
  })
  afterAll(() => tables.close())

  function bench() {
    const agents = agentsOf(tables)
    const { deps, member, teamId } = agents
    const create = (body: { teamId?: string; repositoryUrl?: string | null } = {}) =>
      createEnvironment({ body, member, correlationId: 'c-1' }, deps)
    const refusal = (body: Parameters<typeof create>[0]) =>
      create(body).then(
        () => undefined,
        (error: unknown) => toHttpError(error),
      )
    const view = async () => TeamEnvironmentViewSchema.parse(await teamView(teamId, deps))
    const request = { teamId, by: { userId: 'user-1', userName: 'Ann' }, correlationId: 'c-1' }
    return { ...agents, create, refusal, view, request }
  }

  it('is none before it is created', async () => {
    const { view, teamId } = bench()
    expect(await view()).toEqual({ teamId, status: 'none', repositoryUrl: null, createdAt: null, containers: [] })
  })

  it('is created once, however often it is asked for, and starts workspace sync', async () => {
    const { create, view, work, teamId } = bench()
    expect(await create({ teamId, repositoryUrl: REPOSITORY })).toEqual({ created: true })
    expect(await create({ repositoryUrl: REPOSITORY })).toEqual({ created: false })
    expect(await create()).toEqual({ created: false })
    expect(await view()).toEqual({
      teamId,
      status: 'active',
      repositoryUrl: REPOSITORY,
      createdAt: NOW.toISOString(),
      containers: [
        {
          containerId: expect.any(String),
          kind: 'workspace-sync',
          name: `covibes_sync_${teamId}`,
          status: 'creating',
          ports: [],
          health: 'unknown',
          createdAt: NOW.toISOString(),
          since: NOW.toISOString(),
        },
      ],
    })
    expect(work.map(({ kind }) => kind)).toEqual(['start-environment'])
  })

  it('shows every container of the team, what each is, since when, and why', async () => {
    const { create, view, spawn, deps, teamId } = bench()
    await create({ repositoryUrl: REPOSITORY })
    const { record } = await spawn({ agentType: 'mock' })
    const { record: gone } = await spawn({ agentType: 'mock' })
    await sendTo(deps.environments, gone, { type: 'delete-requested', member: { userId: 'user-1' } })
    const team = await deps.teams.get(teamId)
    const sync = team && (await deps.environments.get({ teamId, id: syncIdOf(team) }))
    if (!sync) throw new Error('there is no sync')
    for (const started of [record, sync]) {
      await sendTo(deps.environments, started, { type: 'start-claimed', ticketHash: 'h' })
      await sendTo(deps.environments, started, { type: 'task-accepted', taskArn: TASK_ARN })
      const task = observed({ startedAt: '2026-01-02T03:05:00.000Z' })
      await sendTo(deps.environments, started, { type: 'task-observed', task })
    }
    const ended = observed({
      version: 9,
      lastStatus: 'STOPPED',
      stopCode: 'EssentialContainerExited',
      container: { exitCode: 3 },
      stoppedAt: '2026-01-02T03:06:00.000Z',
    })
    await sendTo(deps.environments, record, { type: 'task-observed', task: ended })
    await sendTo(deps.environments, sync, { type: 'health-reported', status: 'healthy' })
    const report = { state: 'synced', branch: 'main', commit: 'a'.repeat(40) } as const
    await sendTo(deps.environments, sync, { type: 'sync-reported', report })
    const shown = await view()
    expect(shown.containers).toHaveLength(2)
    expect(shown.containers).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          containerId: record.id,
          kind: 'claude-agent',
          status: 'error',
          exitCode: 3,
          since: NOW.toISOString(),
          reason: expect.stringContaining('3'),
        }),
        expect.objectContaining({
          containerId: sync.id,
          kind: 'workspace-sync',
          status: 'running',
          health: 'healthy',
          since: '2026-01-02T03:05:00.000Z',
        }),
      ]),
    )
    expect(shown.workspace).toEqual({ ...report, at: NOW.toISOString() })
  })

  it('is refused for another team, another repository, and one that cannot be used', async () => {
    const { create, refusal } = bench()
    expect(await refusal({ teamId: 'another' })).toMatchObject({ status: 403, details: [{ field: 'teamId' }] })
    expect(await refusal({ repositoryUrl: 'file:///etc' })).toMatchObject({
      status: 400,
      details: [{ field: 'repositoryUrl' }],
    })
    expect(await refusal({ repositoryUrl: 'https://127.0.0.1/x.git' })).toMatchObject({ status: 400 })
    await create({ repositoryUrl: REPOSITORY })
    expect(await refusal({ repositoryUrl: 'https://github.com/test/other' })).toMatchObject({ status: 409 })
    expect(() => ofOwnTeam('another', { teamId: 'own' })).toThrow('not the team of your token')
  })

  it('is refused for a team whose agents run on the existing server', async () => {
    const { state, refusal, work, view } = bench()
    state.flags = { ...state.flags, useDockerAgents: false }
    expect(await refusal({ repositoryUrl: REPOSITORY })).toMatchObject({ status: 409 })
    expect(work).toEqual([])
    expect((await view()).status).toBe('none')
  })

  it('is refused while it is taken down, which its view says', async () => {
    const { create, refusal, view, request, deps } = bench()
    await create({ repositoryUrl: REPOSITORY })
    await deleteTeamEnvironment(request, deps)
    expect((await view()).status).toBe('removing')
    expect(await refusal({})).toMatchObject({ status: 409 })
  })
})
