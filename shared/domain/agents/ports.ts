import type { TaskSize } from '../../contracts/limits.ts'
import type { AgentSignal } from '../../contracts/link.ts'
import type { Clock } from '../clock.ts'
import type { WorkSender } from '../environments/operations.ts'
import type { EnvironmentStore } from '../environments/ports.ts'
import type { EnvironmentRef } from '../environments/schema.ts'
import type { Publish } from '../realtime/publish.ts'
import type { SshBackend } from './backend-port.ts'

/** A team's flags as they stand in the table, with the stage's defaults filled in. */
export interface TeamFlags {
  readonly useDockerAgents: boolean
  /** Live agents at once. */
  readonly agentSlots: number
  readonly maxTaskSize: TaskSize
}
export interface Flags {
  of(teamId: string): Promise<TeamFlags>
}

/** Names and the team's repository, from the existing server; ids when it does not know the member. */
export interface Profile {
  readonly userName: string
  readonly repositoryUrl: string | null
  /** False: nobody could be asked, so nothing is known of the team's repository. */
  readonly known: boolean
}
export interface Profiles {
  of(member: Member): Promise<Profile>
}

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
  readonly flags: Flags
  readonly clock: Clock
}
export interface WriteAgentDeps extends ReadAgentDeps {
  readonly publish: Publish
  readonly queue: WorkSender
  readonly warn: (message: string, fields: Record<string, unknown>) => void
}
