import type { AgentView, ContainerView } from '../../contracts/agents.ts'
import type { AgentEnvironment, Environment } from '../environments/schema.ts'
import { formatCpu, formatMemory } from '../environments/task-size.ts'
import { agentViewStatus, containerViewStatus } from '../environments/transitions.ts'

/** A record as the frontend's container section reads it; `containerId` must always be there. */
export function containerView(record: Environment): ContainerView {
  return {
    containerId: record.id,
    name: record.name,
    status: containerViewStatus(record.status),
    createdAt: record.createdAt,
    resources: { memory: formatMemory(record.size.memory), cpu: formatCpu(record.size.cpu) },
    health: record.health?.status ?? 'unknown',
    ...(record.exitCode === undefined ? {} : { exitCode: record.exitCode }),
    ...(record.reason === undefined ? {} : { reason: record.reason }),
  }
}

/** A record as the frontend's agent list reads it: with the names of both its list (`agentType`, `startedAt`) and its event (`type`, `lastActivity`). */
export function agentView(record: AgentEnvironment): AgentView {
  const { agentType, agentName, task } = record.agent
  return {
    id: record.id,
    teamId: record.teamId,
    userId: record.createdBy.userId,
    userName: record.createdBy.userName,
    agentName,
    agentType,
    type: agentType,
    task,
    status: agentViewStatus(record.status),
    method: record.backend,
    repositoryUrl: record.repositoryUrl,
    createdAt: record.createdAt,
    startedAt: record.startedAt ?? record.createdAt,
    lastActivity: record.updatedAt,
    completedAt: record.endedAt ?? null,
    ...(record.exitCode === undefined ? {} : { exitCode: record.exitCode }),
    ...(record.reason === undefined ? {} : { reason: record.reason }),
    ...(record.backend === 'docker' ? { container: containerView(record) } : {}),
  }
}
