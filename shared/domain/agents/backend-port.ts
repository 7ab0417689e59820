import type { AgentView } from '../../contracts/agents.ts'
import type { AgentSignal } from '../../contracts/link.ts'

/**
 * The `ssh` backend: the existing server runs the agent. It has its own record of it, so an agent of this backend keeps the
 * id that the existing server gave it. Every call forwards the member's own bearer token. Errors: what the existing server
 * refuses with a 4xx is passed on with its words; anything else (no server configured, time-out, 5xx, an answer that does
 * not parse) is `Unavailable`. Views carry `method: 'ssh'` and no container; statuses are translated.
 */
export interface SshBackend {
  spawn(request: { readonly task: string; readonly agentType: string }, token: string): Promise<AgentView>
  list(token: string): Promise<AgentView[]>
  /** Undefined: the existing server does not know the agent. */
  get(
    id: string,
    token: string,
  ): Promise<{ agent: AgentView; output: { timestamp: string; line: string }[] } | undefined>
  /** Asks it to end the agent; it has ended when `get` says so. */
  stop(id: string, token: string): Promise<void>
  /** An agent it does not know is deleted already. */
  delete(id: string, token: string): Promise<void>
  /** Answers how many it deleted. */
  deleteAll(token: string): Promise<number>
  input(id: string, input: string, token: string): Promise<void>
  signal(id: string, signal: AgentSignal, token: string): Promise<void>
}
