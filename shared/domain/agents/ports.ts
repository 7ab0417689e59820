import type { AgentSignal } from '../../contracts/link.ts'
import type { Clock } from '../clock.ts'
import type { EnvironmentStore } from '../environments/ports.ts'
import type { EnvironmentRef } from '../environments/schema.ts'
import type { Flags } from '../flags/schema.ts'
import type { TeamDeps } from '../teams/operations.ts'
import type { SshBackend } from './backend-port.ts'

/** The member who asks, with the token to ask the existing server with. */
export interface Member {
  readonly userId: string
  readonly teamId: string
  readonly token: string
}

/** The agent's terminal, over its link. `not-connected`: the container has no link at the moment. */
export interface AgentTerminal {
  input(ref: EnvironmentRef, data: string, receivedAt: number): Promise<'sent' | 'not-connected'>
  signal(ref: EnvironmentRef, signal: AgentSignal): Promise<'sent' | 'not-connected'>
}

/** What reading needs; writing needs more. */
export interface ReadAgentDeps {
  readonly environments: EnvironmentStore
  readonly ssh: SshBackend
  /** The team's flags as they stand in the table, with the stage's defaults filled in. */
  readonly flagsOf: (teamId: string) => Promise<Flags>
  readonly clock: Clock
}
export interface WriteAgentDeps extends ReadAgentDeps, TeamDeps {}
