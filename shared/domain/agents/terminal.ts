import type { AgentSignal } from '../../contracts/link.ts'
import type { AgentEnvironment } from '../environments/schema.ts'
import { isFinal } from '../environments/transitions.ts'
import { Conflict, Forbidden } from '../errors.ts'
import type { AgentTerminal, Member, ReadAgentDeps } from './ports.ts'
import { locateAgent } from './resolve.ts'

type TerminalDeps = ReadAgentDeps & { readonly terminal: AgentTerminal }

/**
 * Types into an agent's terminal. `receivedAt`: the gateway's receive time, ms since the epoch.
 * @throws Forbidden for anybody but the owner, Conflict when the agent is not running or has no link at the moment.
 */
export async function sendInput(
  id: string,
  input: string,
  member: Member,
  receivedAt: number,
  deps: TerminalDeps,
): Promise<void> {
  const { backend, record } = await locateAgent(id, member, deps)
  if (backend === 'ssh' || !record) return deps.ssh.input(id, input, member.token)
  mayType(record, member)
  if ((await deps.terminal.input(record, input, receivedAt)) === 'not-connected') throw notConnected()
}

/** Sends a signal to the foreground process of an agent's terminal. Errors as with input. */
export async function sendSignal(id: string, signal: AgentSignal, member: Member, deps: TerminalDeps): Promise<void> {
  const { backend, record } = await locateAgent(id, member, deps)
  if (backend === 'ssh' || !record) return deps.ssh.signal(id, signal, member.token)
  mayType(record, member)
  if ((await deps.terminal.signal(record, signal)) === 'not-connected') throw notConnected()
}

function mayType(record: AgentEnvironment, member: Member): void {
  if (record.createdBy.userId !== member.userId) throw new Forbidden('Only the agent’s owner may type into it')
  if (isFinal(record.status)) throw new Conflict(`The agent is not running (${record.status})`)
}

const notConnected = () => new Conflict('The agent’s container is not connected; try again shortly')
