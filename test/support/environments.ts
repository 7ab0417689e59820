/** Records and moments for tests: a fixed clock, a record as a spawn leaves it. */

import type { EnvironmentEvent } from '../../shared/domain/environments/events.ts'
import type { Change, EnvironmentStore } from '../../shared/domain/environments/ports.ts'
import type {
  AgentEnvironment,
  Environment,
  PreviewEnvironment,
  SyncEnvironment,
} from '../../shared/domain/environments/schema.ts'
import { applyEvent } from '../../shared/domain/environments/state-machine.ts'
import type { DescribedTask } from '../../shared/domain/environments/tasks.ts'

export const NOW = new Date('2026-01-02T03:04:05.000Z')
export const fixedClock = { now: () => NOW }
export const TASK_ARN = 'arn:aws:ecs:us-east-1:000000000000:task/covibes/0123456789abcdef0123456789abcdef'

export function environment(fields: Partial<AgentEnvironment> = {}): AgentEnvironment {
  return {
    teamId: 'team-1',
    id: '0198c0de-0000-7000-8000-000000000001',
    type: 'agent',
    name: 'covibes_agent_team-1_0198c0de-0000-7000-8000-000000000001',
    backend: 'docker',
    status: 'requested',
    generation: 1,
    attempt: 1,
    revision: 1,
    createdAt: NOW.toISOString(),
    updatedAt: NOW.toISOString(),
    createdBy: { userId: 'user-1', userName: 'Ann' },
    agent: { agentType: 'mock', agentName: 'Ada Lovelace', task: 'exit 0' },
    repositoryUrl: null,
    size: { cpu: 1024, memory: 2048 },
    slot: 0,
    correlationId: 'correlation-1',
    ...fields,
  }
}

/** Workspace sync's, as the first start of the team leaves it. */
export function syncEnvironment(fields: Partial<SyncEnvironment> = {}): SyncEnvironment {
  const { agent: _agent, slot: _slot, ...common } = environment()
  return {
    ...common,
    id: '0198c0de-0000-5000-8000-000000000002',
    type: 'sync',
    name: 'covibes_sync_team-1',
    sync: { purpose: 'sync' },
    size: { cpu: 256, memory: 512 },
    ...fields,
  }
}

/** The preview of `workspace`, as its creation leaves it. */
export function previewEnvironment(fields: Partial<PreviewEnvironment> = {}): PreviewEnvironment {
  const { agent: _agent, slot: _slot, ...common } = environment()
  return {
    ...common,
    id: '0198c0de-0000-5000-8000-000000000003',
    type: 'preview',
    name: 'covibes_preview_team-1_workspace',
    preview: { branch: 'workspace', label: 'workspace-aaaaaaaaaaaaaaaaaaaa', isPublic: false, port: 5000 },
    size: { cpu: 512, memory: 1024 },
    ...fields,
  }
}

export const spawnEntry: Change['entry'] = {
  at: NOW.toISOString(),
  actor: { kind: 'member', userId: 'user-1' },
  cause: 'spawn-requested',
  correlationId: 'correlation-1',
}

export function observed(fields: Partial<DescribedTask> = {}): DescribedTask {
  return {
    arn: TASK_ARN,
    version: 5,
    lastStatus: 'RUNNING',
    desiredStatus: 'RUNNING',
    startedBy: 'team-1/0198c0de-0000-7000-8000-000000000001/1',
    startedAt: NOW.toISOString(),
    ...fields,
  }
}

/** Applies events one after the other, as the store would; an event that changes nothing leaves the record as it is. */
export const after = (record: Environment, ...events: EnvironmentEvent[]): Environment =>
  events.reduce(
    (current, event) => applyEvent(current, event, { now: NOW, correlationId: 'c' })?.next ?? current,
    record,
  )

export const sendTo = (store: EnvironmentStore, record: Environment, event: EnvironmentEvent) =>
  store.change(record, (current) => applyEvent(current, event, { now: NOW, correlationId: 'c' }))
