/** `agent-output`: an agent's output as lines, for members who ask for it. */
import type { ClientEvent } from '../../contracts/socket-events.ts'
import type { Received, SocketDeps } from './ports.ts'
import { replyWith } from './reply.ts'
import type { ConnectedSession } from './session.ts'
import { beginWatching, endWatching, findAgent, isOwnerOf } from './watching.ts'

/** Any member may; it begins with the oldest output that is kept. Not answered but by the lines themselves. */
export async function subscribeToOutput(
  session: ConnectedSession,
  { agentId }: ClientEvent<'agent_output_subscribe'>,
  { at }: Received,
  deps: SocketDeps,
): Promise<void> {
  const record = await findAgent(session, agentId, deps)
  if (!record) return replyWith(session.sid, ['error', { message: 'Agent not found' }], deps)
  await beginWatching(
    session,
    agentId,
    { watch: 'outputs', at, isOwner: isOwnerOf(session, record), replies: [] },
    deps,
  )
}

export async function unsubscribeFromOutput(
  session: ConnectedSession,
  { agentId }: ClientEvent<'agent_output_unsubscribe'>,
  { at }: Received,
  deps: SocketDeps,
): Promise<void> {
  await endWatching(session, agentId, { watch: 'outputs', at }, deps)
}
