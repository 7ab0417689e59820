import type { AgentEnvironment } from '../environments/schema.ts'
import { NotFound } from '../errors.ts'
import type { Member, ReadAgentDeps } from './ports.ts'

/** Which backend an agent is on: its record says (the pin); one without a record is the existing server's, for teams that use it. */
export type Located = { readonly backend: 'docker' | 'ssh'; readonly record?: AgentEnvironment }

/** @throws NotFound for an agent that is unknown, deleted, or another team's. */
export async function locateAgent(id: string, member: Member, deps: ReadAgentDeps): Promise<Located> {
  const record = await deps.environments.get({ teamId: member.teamId, id })
  if (record) {
    if (record.type !== 'agent' || record.deletedAt) throw notFound(id)
    return { backend: record.backend, record }
  }
  const { useDockerAgents } = await deps.flagsOf(member.teamId)
  if (useDockerAgents) throw notFound(id)
  return { backend: 'ssh' }
}

export const notFound = (id: string): NotFound => new NotFound(`Agent ${id} not found`)
