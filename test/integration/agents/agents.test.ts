import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEnvironmentStore } from '../../../shared/adapters/dynamodb/environment-store.ts'
import { type AgentView, AgentViewSchema } from '../../../shared/contracts/agents.ts'
import { containerAction } from '../../../shared/domain/agents/container-action.ts'
import { deleteAgent, deleteAllAgents, stopAgent } from '../../../shared/domain/agents/end.ts'
import { getAgent, listAgents } from '../../../shared/domain/agents/read.ts'
import { sendInput } from '../../../shared/domain/agents/terminal.ts'
import { agentView } from '../../../shared/domain/agents/view.ts'
import { observeTask } from '../../../shared/domain/environments/operations.ts'
import type { SyncEnvironment } from '../../../shared/domain/environments/schema.ts'
import { deleteTeamEnvironment } from '../../../shared/domain/teams/operations.ts'
import { agentsOf } from '../../support/agents.ts'
import { observed, sendTo, TASK_ARN } from '../../support/environments.ts'
import { startTables } from '../../support/local-tables.ts'

let tables: Awaited<ReturnType<typeof startTables>>
beforeAll(async () => {
  tables = await startTables()
})
afterAll(() => tables.close())

const team = (ssh?: Parameters<typeof agentsOf>[1]) => agentsOf(tables, ssh)
const page = { limit: 50 }
async function syncOf(teamId: string): Promise<SyncEnvironment> {
  const { records } = await createEnvironmentStore(tables.client, 'environments').listByTeam(teamId, 'sync', page)
  if (!records[0]) throw new Error('the team has no workspace sync')
  return records[0]
}

describe('spawn', () => {
  it('commits record, entry and event, and leaves the start to the queue', async () => {
    const { spawn, work, published, events, teamId } = team()
    const { record } = await spawn({ task: ' build it ', agentType: 'code-writer' })
    expect(record).toMatchObject({ status: 'requested', backend: 'docker', slot: expect.any(Number) })
    expect(record.agent).toEqual({ agentType: 'code-writer', agentName: expect.any(String), task: 'build it' })
    expect(record.name).toBe(`covibes_agent_${teamId}_${record.id}`)
    const start = { kind: 'start-environment', teamId, generation: 1, correlationId: 'c-1', repeat: 0, waits: 0 }
    const sync = await syncOf(teamId)
    // Workspace sync of the team first: the agent works in what it makes.
    expect(work).toEqual([
      { ...start, environmentId: sync.id },
      { ...start, environmentId: record.id },
    ])
    expect(events()).toEqual(['agent-spawned'])
    expect(published.find(({ event }) => event)?.event?.[1]).toEqual({ agent: agentView(record) })
    expect(AgentViewSchema.parse(agentView(record))).toMatchObject({ status: 'starting', userName: 'user-1' })
  })

  it('stands when the queue is away: the reconciler starts it', async () => {
    const { spawn, state, warnings, deps } = team()
    state.queueFails = true
    const { record } = await spawn()
    expect(await deps.environments.get(record)).toBeDefined()
    expect(new Set(warnings)).toEqual(new Set(['Start not queued, left to the reconciler']))
  })

  it('refuses another team, another repository, and what is larger than the team may have', async () => {
    const { spawn, state, member } = team()
    await expect(spawn({ teamId: 'other' })).rejects.toMatchObject({ code: 'FORBIDDEN' })
    state.profile = {
      userId: 'user-1',
      teamId: member.teamId,
      userName: 'Ann',
      repositoryUrl: 'https://git.example/team/app.git',
      known: true,
    }
    await expect(spawn({ repositoryUrl: 'https://git.example/other/app' })).rejects.toMatchObject({ code: 'CONFLICT' })
    const { record } = await spawn({ repositoryUrl: 'https://git.example/team/app/', teamId: member.teamId })
    expect(record).toMatchObject({ repositoryUrl: 'https://git.example/team/app.git', createdBy: { userName: 'Ann' } })
    const resources = (cpu: string, memory: string) => ({ containerOptions: { resources: { cpu, memory } } })
    expect((await spawn(resources('0.5', '8GB'))).record.size).toEqual({ cpu: 1024, memory: 8192 })
    await expect(spawn(resources('8.0', '16GB'))).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      details: [{ field: 'containerOptions.resources' }],
    })
  })

  it('takes the repository that is named when nobody knows the team’s', async () => {
    const { spawn } = team()
    expect((await spawn({ repositoryUrl: 'https://git.example/a' })).record.repositoryUrl).toBe('https://git.example/a')
  })

  it('makes the team’s environment once, with one workspace sync, and wakes it when it has ended', async () => {
    const { spawn, teamId, deps, work, member } = team()
    await Promise.all([spawn(), spawn(), spawn()])
    const sync = await syncOf(teamId)
    expect((await deps.environments.listByTeam(teamId, 'sync', page)).records).toHaveLength(1)
    expect(await deps.teams.get(teamId)).toMatchObject({ status: 'active', repositoryUrl: null })
    const startsOfSync = () => work.filter((each) => 'environmentId' in each && each.environmentId === sync.id)
    expect(startsOfSync()).toHaveLength(1)
    await sendTo(deps.environments, sync, { type: 'stop-ordered', reason: 'nobody uses it' })
    const { record } = await spawn()
    expect(await syncOf(teamId)).toMatchObject({ status: 'requested', generation: 2 })
    await sendTo(deps.environments, { ...sync, generation: 2 }, { type: 'stop-ordered', reason: 'nobody uses it' })
    await stopAgent(record.id, member, 'c', deps)
    await containerAction({ containerId: record.id, action: 'start' }, member, 'c', deps)
    expect(await syncOf(teamId)).toMatchObject({ status: 'requested', generation: 3 })
  })

  it('refuses a repository that cannot be used, and a team whose environment is being taken down', async () => {
    const { spawn, deps, member } = team()
    await expect(spawn({ repositoryUrl: 'https://169.254.169.254/latest' })).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      details: [{ field: 'repositoryUrl' }],
    })
    await spawn()
    const by = { userId: member.userId, userName: 'Ann' }
    await deleteTeamEnvironment({ teamId: member.teamId, by, correlationId: 'c' }, deps)
    await expect(spawn()).rejects.toMatchObject({ code: 'CONFLICT', message: expect.stringContaining('taken down') })
  })

  it('is one agent for one Idempotency-Key of one member', async () => {
    const { spawn, work, member, deps } = team()
    const body = { task: 'a task to do' }
    const [a, b] = await Promise.all([spawn(body, 'key'), spawn(body, 'key')])
    expect(b.record.id).toBe(a.record.id)
    expect(work.filter((each) => 'environmentId' in each && each.environmentId === a.record.id)).toHaveLength(1)
    await expect(spawn({ task: 'another task' }, 'key')).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' })
    const other = await spawn(body, 'key', { ...member, userId: 'user-2' })
    expect(other.record.id).not.toBe(a.record.id)
    await deleteAgent(a.record.id, member, 'c', deps)
    await expect(spawn(body, 'key')).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  it('ends at the team’s slots', async () => {
    const { spawn, state } = team()
    state.flags = { ...state.flags, agentSlots: 2 }
    await spawn()
    await spawn()
    await expect(spawn()).rejects.toMatchObject({ code: 'TOO_MANY_AGENTS' })
  })
})

describe('list and get', () => {
  it('newest first, filtered, in pages, deleted ones hidden', async () => {
    const { spawn, deps, member } = team()
    const ids: string[] = []
    for (let n = 0; n < 7; n++) ids.push((await spawn({ agentType: n % 2 === 0 ? 'mock' : 'claude' })).record.id)
    await deleteAgent(ids[6] as string, member, 'c', deps)
    expect((await listAgents({ member, ...page }, deps)).agents.map(({ id }) => id)).toEqual(ids.slice(0, 6).reverse())
    const mocks = await listAgents({ member, type: 'mock', ...page }, deps)
    expect(mocks.agents.map(({ id }) => id)).toEqual([ids[4], ids[2], ids[0]])
    expect((await listAgents({ member, status: 'running', ...page }, deps)).agents).toEqual([])
    const seen: string[] = []
    let cursor: string | undefined
    do {
      const some = await listAgents({ member, type: 'mock', limit: 2, cursor }, deps)
      expect(some.agents.length).toBeLessThanOrEqual(2)
      seen.push(...some.agents.map(({ id }) => id))
      cursor = some.nextCursor
    } while (cursor)
    expect(seen).toEqual([ids[4], ids[2], ids[0]])
  })

  it('another team’s agent is not there', async () => {
    const { spawn } = team()
    const { record } = await spawn()
    const other = team()
    await expect(getAgent(record.id, other.member, other.deps)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(stopAgent(record.id, other.member, 'c', other.deps)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(deleteAgent(record.id, other.member, 'c', other.deps)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('stop and delete', () => {
  it('order the stop and say killed only when ECS has said so', async () => {
    const { spawn, deps, member, work, events } = team()
    const { record } = await spawn()
    await sendTo(deps.environments, record, { type: 'start-claimed', ticketHash: 'h' })
    await sendTo(deps.environments, record, { type: 'task-observed', task: observed() })
    expect(await stopAgent(record.id, member, 'c', deps)).toMatchObject({ status: 'running' })
    expect(work.at(-1)).toMatchObject({ kind: 'stop-environment', environmentId: record.id })
    expect(await stopAgent(record.id, member, 'c', deps)).toMatchObject({ status: 'running' })
    const task = observed({
      arn: TASK_ARN,
      version: 9,
      lastStatus: 'STOPPED',
      stopCode: 'UserInitiated',
      container: { exitCode: 143 },
    })
    await sendTo(deps.environments, record, { type: 'task-observed', task })
    expect(await stopAgent(record.id, member, 'c', deps)).toMatchObject({
      status: 'killed',
      reason: 'stopped on request',
    })
    expect(events()).toEqual(['agent-spawned'])
    await deleteAgent(record.id, member, 'c', deps)
    expect(events()).toEqual(['agent-spawned', 'agent-deleted'])
    await expect(deleteAgent(record.id, member, 'c', deps)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('delete all: told once, every agent gone, the count right', async () => {
    const { spawn, deps, member, events } = team()
    for (let n = 0; n < 3; n++) await spawn()
    expect(await deleteAllAgents(member, 'c', deps)).toBe(3)
    expect(events().slice(3)).toEqual(['all-agents-deleted', 'agent-deleted', 'agent-deleted', 'agent-deleted'])
    expect(await listAgents({ member, ...page }, deps)).toEqual({ agents: [] })
    expect(await deleteAllAgents(member, 'c', deps)).toBe(0)
  })
})

describe('container actions', () => {
  const act = (from: ReturnType<typeof team>, containerId: string, action: 'start' | 'stop' | 'restart') =>
    containerAction({ containerId, action }, from.member, 'c', from.deps)

  it('start what has ended anew, in its next generation, when there is a slot', async () => {
    const own = team()
    own.state.flags = { ...own.state.flags, agentSlots: 1 }
    const { record } = await own.spawn({ task: 'again and again' })
    await act(own, record.id, 'start')
    await act(own, record.id, 'stop')
    expect(await own.deps.environments.get(record)).toMatchObject({ status: 'killed', generation: 1 })
    await act(own, record.id, 'start')
    expect(await own.deps.environments.get(record)).toMatchObject({ status: 'requested', generation: 2, slot: 0 })
    expect(own.work.at(-1)).toMatchObject({ kind: 'start-environment', environmentId: record.id, generation: 2 })
    await act(own, record.id, 'stop')
    await own.spawn()
    await expect(act(own, record.id, 'restart')).rejects.toMatchObject({ code: 'TOO_MANY_AGENTS' })
  })

  it('restart what runs: the stop first, then the start', async () => {
    const own = team()
    const { record } = await own.spawn()
    await sendTo(own.deps.environments, record, { type: 'start-claimed', ticketHash: 'h' })
    await sendTo(own.deps.environments, record, { type: 'task-observed', task: observed() })
    await act(own, record.id, 'restart')
    expect(own.work.at(-1)).toMatchObject({ kind: 'stop-environment', generation: 1 })
    const startedBy = `${record.teamId}/${record.id}/1`
    const task = observed({
      startedBy,
      version: 9,
      lastStatus: 'STOPPED',
      stopCode: 'UserInitiated',
      container: { exitCode: 143 },
    })
    const stop = async () => undefined
    await observeTask(task, { ...own.deps, tasks: { stop }, log: { agentStarted() {}, containerError() {} } })
    expect(await own.deps.environments.get(record)).toMatchObject({ status: 'requested', generation: 2 })
    expect(own.work.at(-1)).toMatchObject({ kind: 'start-environment', generation: 2 })
  })

  it('know nothing of another team’s containers', async () => {
    const { record } = await team().spawn()
    await expect(act(team(), record.id, 'stop')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(act(team(), record.id, 'start')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('typing', () => {
  it('is for the owner, into a live agent with a link', async () => {
    const { spawn, deps, member } = team()
    const { record } = await spawn()
    const sent: string[] = []
    const connected = {
      ...deps,
      terminal: {
        input: async (_: unknown, data: string) => {
          sent.push(data)
          return 'sent' as const
        },
        signal: async () => 'sent' as const,
      },
    }
    await sendInput(record.id, 'ls\r', member, 1, connected)
    expect(sent).toEqual(['ls\r'])
    await expect(sendInput(record.id, 'ls', { ...member, userId: 'user-2' }, 1, connected)).rejects.toMatchObject({
      code: 'FORBIDDEN',
    })
    const unconnected = { ...deps, terminal: { ...connected.terminal, input: async () => 'not-connected' as const } }
    await expect(sendInput(record.id, 'ls', member, 1, unconnected)).rejects.toMatchObject({ code: 'CONFLICT' })
    await stopAgent(record.id, member, 'c', deps)
    await expect(sendInput(record.id, 'ls', member, 1, connected)).rejects.toMatchObject({ code: 'CONFLICT' })
  })
})

describe('a team on the ssh backend', () => {
  const view: AgentView = {
    id: 'legacy-1',
    teamId: 'x',
    userId: 'user-1',
    userName: 'Ann',
    agentName: 'Bob Legacy',
    agentType: 'claude',
    type: 'claude',
    task: '',
    status: 'running',
    method: 'ssh',
    repositoryUrl: null,
    createdAt: '2026-01-02T03:04:05.000Z',
    startedAt: '2026-01-02T03:04:05.000Z',
    lastActivity: '2026-01-02T03:04:05.000Z',
    completedAt: null,
  }

  it('spawns on the existing server, pins the record, and goes on there when the flag has changed', async () => {
    const asked: string[] = []
    const { spawn, state, deps, member, work, events } = team({
      spawn: async () => view,
      list: async () => [view],
      get: async () => ({ agent: view, output: [{ timestamp: 't', line: 'hello' }] }),
      stop: async () => void asked.push('stop'),
      delete: async () => void asked.push('delete'),
    })
    state.flags = { ...state.flags, useDockerAgents: false }
    const { record } = await spawn()
    expect(record).toMatchObject({ id: 'legacy-1', backend: 'ssh', status: 'running' })
    expect(work).toEqual([])
    state.flags = { ...state.flags, useDockerAgents: true }
    expect((await listAgents({ member, ...page }, deps)).agents).toMatchObject([{ id: 'legacy-1', method: 'ssh' }])
    expect(await getAgent('legacy-1', member, deps)).toMatchObject({ output: [{ line: 'hello' }] })
    await stopAgent('legacy-1', member, 'c', deps)
    await deleteAgent('legacy-1', member, 'c', deps)
    expect(asked).toEqual(['stop', 'delete'])
    expect(await deps.environments.get({ teamId: member.teamId, id: 'legacy-1' })).toBeUndefined()
    expect(events()).toEqual(['agent-spawned', 'agent-deleted'])
  })
})
