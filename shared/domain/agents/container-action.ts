import { sendEvent, startOf } from '../environments/operations.ts'
import { isFinal } from '../environments/transitions.ts'
import { Conflict } from '../errors.ts'
import { stopAgent } from './end.ts'
import type { Member, WriteAgentDeps } from './ports.ts'
import { locateAgent, notFound } from './resolve.ts'

export type ContainerAction = 'start' | 'stop' | 'restart'

/**
 * The buttons of the frontend's container list. `start` and `restart` of one that has ended begin its next generation, with the
 * same task in the same terminal; `restart` of one that runs stops it first. What is wanted already is no error.
 *
 * @throws NotFound, TooManyAgents when all slots are leased, Conflict for an agent that runs on the existing server.
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
  const { agentSlots } = await deps.flagsOf(member.teamId)
  const done = await sendEvent(record, { type: 'restart-requested', member, slots: agentSlots }, correlationId, deps)
  if (!done) throw notFound(containerId)
  const { status, generation } = done.record
  try {
    if (status === 'requested') await deps.queue.send(startOf(done.record))
    if (status === 'stopping')
      await deps.queue.send({
        kind: 'stop-environment',
        teamId: member.teamId,
        environmentId: containerId,
        generation,
        correlationId,
      })
  } catch (error) {
    // The record says what is wanted: the reconciler orders it within its cycle.
    deps.warn('Start or stop not queued, left to the reconciler', { error })
  }
}
