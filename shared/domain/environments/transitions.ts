import type { AgentViewStatus, ContainerViewStatus } from '../../contracts/agents.ts'
import type { Status } from './schema.ts'

/**
 * The legal transitions, as data. A final state can follow every live one, because an exit can be the first thing that is
 * heard of a task; `stopping` is never followed by `running`. Final states are final for their generation.
 */
export const TRANSITIONS: Readonly<Record<Status, readonly Status[]>> = {
  requested: ['starting', 'completed', 'failed', 'killed'],
  starting: ['running', 'stopping', 'completed', 'failed', 'killed'],
  running: ['stopping', 'completed', 'failed', 'killed'],
  stopping: ['completed', 'failed', 'killed'],
  completed: [],
  failed: [],
  killed: [],
}

export type FinalStatus = 'completed' | 'failed' | 'killed'
export const LIVE_STATUSES = ['requested', 'starting', 'running', 'stopping'] as const satisfies readonly Status[]

export const isFinal = (status: Status): status is FinalStatus => TRANSITIONS[status].length === 0
export const canMove = (from: Status, to: Status): boolean => TRANSITIONS[from].includes(to)

const AGENT_VIEW: Readonly<Record<Status, AgentViewStatus>> = {
  requested: 'starting',
  starting: 'starting',
  running: 'running',
  stopping: 'running',
  completed: 'completed',
  failed: 'failed',
  killed: 'killed',
}

const CONTAINER_VIEW: Readonly<Record<Status, ContainerViewStatus>> = {
  requested: 'creating',
  starting: 'starting',
  running: 'running',
  stopping: 'running',
  completed: 'stopped',
  failed: 'error',
  killed: 'stopped',
}

/** What the frontend's agent list shows for a status. */
export const agentViewStatus = (status: Status): AgentViewStatus => AGENT_VIEW[status]
/** What the frontend's container section shows for a status. */
export const containerViewStatus = (status: Status): ContainerViewStatus => CONTAINER_VIEW[status]
