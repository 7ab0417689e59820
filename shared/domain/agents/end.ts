import type { AgentView } from '../../contracts/agents.ts'
import type { Clock } from '../clock.ts'
import { orderWork, sendEvent } from '../environments/operations.ts'
import { type AgentEnvironment, expectType } from '../environments/schema.ts'
import { isFinal } from '../environments/transitions.ts'
import type { LedgerWriter } from '../ledger/ports.ts'
import type { Member, WriteAgentDeps } from './ports.ts'
import { locateAgent, notFound } from './resolve.ts'
import { agentView } from './view.ts'

/** Asks for an agent's end. It is `killed` when ECS says that the task has stopped, not before. Stopping twice is no error. */
export async function stopAgent(
  id: string,
  member: Member,
  correlationId: string,
  deps: WriteAgentDeps,
): Promise<AgentView> {
  const { backend, record } = await locateAgent(id, member, deps)
  if (backend === 'ssh' || !record) {
    await deps.ssh.stop(id, member.token)
    const told = await deps.ssh.get(id, member.token)
    if (!told) throw notFound(id)
    return told.agent
  }
  const done = await sendEvent(record, { type: 'stop-requested', member }, correlationId, deps)
  if (!done) throw notFound(id)
  await orderWork(done.record, correlationId, deps)
  return agentView(expectType(done.record, 'agent'))
}

/** Deletes an agent from whatever state: the row goes from every list at once, and for good when its task has stopped. */
export async function deleteAgent(
  id: string,
  member: Member,
  correlationId: string,
  deps: WriteAgentDeps,
): Promise<void> {
  const { backend, record } = await locateAgent(id, member, deps)
  if (backend === 'ssh') await deps.ssh.delete(id, member.token)
  if (record) await deleteRecord(record, member, correlationId, deps)
}

/**
 * Deletes all of the team's agents and answers how many. The team is told first that the list is empty, then of each agent:
 * one that is spawned meanwhile is either told of after that, or deleted like the others.
 */
export async function deleteAllAgents(
  member: Member,
  correlationId: string,
  deps: WriteAgentDeps & { readonly ledger: LedgerWriter; readonly clock: Clock },
): Promise<number> {
  const { useDockerAgents } = await deps.flagsOf(member.teamId)
  const overSsh = useDockerAgents ? 0 : await deps.ssh.deleteAll(member.token)
  const emptied = await deps.ledger.append({
    teamId: member.teamId,
    at: deps.clock.now().toISOString(),
    actor: { kind: 'member', userId: member.userId },
    cause: 'delete-all-requested',
    correlationId,
    event: ['all-agents-deleted', { teamId: member.teamId }],
  })
  await deps.publish([emptied])

  let deleted = 0
  let cursor: string | undefined
  do {
    const page = await deps.environments.listByTeam(member.teamId, 'agent', {
      limit: 100,
      ...(cursor === undefined ? {} : { cursor }),
    })
    for (const record of page.records) {
      if (record.deletedAt) continue
      if (record.backend === 'ssh' && useDockerAgents) await deps.ssh.delete(record.id, member.token)
      await deleteRecord(record, member, correlationId, deps)
      if (record.backend === 'docker' || useDockerAgents) deleted++
    }
    cursor = page.cursor
  } while (cursor !== undefined)
  return deleted + overSsh
}

async function deleteRecord(
  record: AgentEnvironment,
  member: Member,
  correlationId: string,
  deps: WriteAgentDeps,
): Promise<void> {
  const done = await sendEvent(record, { type: 'delete-requested', member }, correlationId, deps)
  if (!done) return
  await orderWork(done.record, correlationId, deps)
  // The existing server has deleted its agent: nobody will ever tell that it ended.
  if (done.record.backend === 'ssh' && !isFinal(done.record.status))
    await sendEvent(record, { type: 'task-vanished', reason: 'deleted on the existing server' }, correlationId, deps)
}
