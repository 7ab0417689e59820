import type { AgentView } from '../../contracts/agents.ts'
import type { AgentEnvironment } from '../environments/schema.ts'
import { isFinal } from '../environments/transitions.ts'
import type { Member, ReadAgentDeps } from './ports.ts'
import { locateAgent, notFound } from './resolve.ts'
import { agentView } from './view.ts'

export interface ListRequest {
  readonly member: Member
  readonly status?: string | undefined
  readonly type?: string | undefined
  /** 1 to 100. */
  readonly limit: number
  readonly cursor?: string | undefined
}

/** Pages of records one request reads at most while it looks for matches; what lies beyond is behind the cursor. */
const MAX_PAGES = 10

/**
 * The team's agents, newest first. Agents of the `ssh` backend are as the existing server tells them, on the first page; their
 * records here only pin them.
 */
export async function listAgents(
  { member, status, type, limit, cursor }: ListRequest,
  deps: ReadAgentDeps,
): Promise<{ agents: AgentView[]; nextCursor?: string }> {
  const wanted = (view: AgentView) => (!status || view.status === status) && (!type || view.agentType === type)
  const own: AgentEnvironment[] = []
  let next = cursor
  for (let page = 0; page < MAX_PAGES && own.length < limit; page++) {
    const found = await deps.environments.listByTeam(member.teamId, 'agent', {
      limit: limit - own.length,
      ...(next === undefined ? {} : { cursor: next }),
    })
    own.push(...found.records.filter((record) => !record.deletedAt && wanted(agentView(record))))
    next = found.cursor
    if (next === undefined) break
  }
  const agents = own.filter(({ backend }) => backend === 'docker').map(agentView)
  const pinned = own.filter(({ backend }) => backend === 'ssh')
  const asksExisting =
    cursor === undefined &&
    (pinned.some(({ status: pin }) => !isFinal(pin)) || !(await deps.flagsOf(member.teamId)).useDockerAgents)
  if (asksExisting) agents.push(...(await deps.ssh.list(member.token)).filter(wanted))
  agents.sort((a, b) => (a.createdAt < b.createdAt ? 1 : a.createdAt > b.createdAt ? -1 : 0))
  return {
    agents: agents.slice(0, limit).map((view) => ({ ...view, isOwner: view.userId === member.userId })),
    ...(next === undefined ? {} : { nextCursor: next }),
  }
}

/** One agent; `output` only from the existing server, which keeps its own. */
export async function getAgent(
  id: string,
  member: Member,
  deps: ReadAgentDeps,
): Promise<{ agent: AgentView; record?: AgentEnvironment; output?: { timestamp: string; line: string }[] }> {
  const { backend, record } = await locateAgent(id, member, deps)
  const isOwner = (view: AgentView) => ({ ...view, isOwner: view.userId === member.userId })
  if (backend === 'docker' && record) return { agent: isOwner(agentView(record)), record }
  const told = await deps.ssh.get(id, member.token)
  if (!told) throw notFound(id)
  return { agent: isOwner(told.agent), output: told.output }
}
