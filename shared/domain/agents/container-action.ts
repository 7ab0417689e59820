import { orderWork, sendEvent } from '../environments/operations.ts'
import { isFinal } from '../environments/transitions.ts'
import { Conflict } from '../errors.ts'
import { ensureTeamEnvironment, wakeTeam } from '../teams/operations.ts'
import { stopAgent } from './end.ts'
import type { Member, WriteAgentDeps } from './ports.ts'
import { locateAgent, notFound } from './resolve.ts'

export type ContainerAction = 'start' | 'stop' | 'restart'

/**
 * The buttons of the frontend's container list. `start` and `restart` of one that has ended begin its next generation, with the
 * same task in the same terminal; `restart` of one that runs stops it first. What is wanted already is no error.
 *
 * @throws NotFound, TooManyAgents when all slots are leased, Conflict for an agent that runs on the existing server and while the
 * team's environment is being removed.
 */
export async function containerAction(
  { containerId, action }: { readonly containerId: string; readonly action: ContainerAction },
  member: Member,
  correlationId: string,
  deps: WriteAgentDeps,
): Promise<void> {
  if (action === 'stop') {
    await stopAgent(containerId, member, correlationId, deps)
    return
  }
  const { backend, record } = await locateAgent(containerId, member, deps)
  if (backend === 'ssh' || !record) throw new Conflict('This agent does not run in a container')
  if (action === 'start' && !isFinal(record.status)) return
  const { teamId, userId } = member
  const { createdBy, repositoryUrl } = record
  // A session knows no names.
  const by = createdBy.userId === userId ? createdBy : { userId, userName: userId }
  const team = { teamId, by, correlationId }
  // What an agent works in must be kept in sync, however long the team was away.
  if (!(await wakeTeam(team, deps)))
    await ensureTeamEnvironment({ ...team, repository: { url: repositoryUrl, known: false } }, deps)
  const { agentSlots } = await deps.flagsOf(teamId)
  const done = await sendEvent(record, { type: 'restart-requested', member, slots: agentSlots }, correlationId, deps)
  if (!done) throw notFound(containerId)
  await orderWork(done.record, correlationId, deps)
}
