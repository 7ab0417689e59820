/**
 * The existing server's agents (frontend contract §3.1), read with suspicion: only an id is indispensable, every other field
 * has a value that no client trips over (a missing status crashes the frontend).
 */
import * as z from 'zod'
import type { AgentView, AgentViewStatus } from '../../contracts/agents.ts'

/** Agents and lines of an answer that are taken; the existing server itself caps its list at 50. */
const MAX_AGENTS = 500
const MAX_LINES = 1000
const MAX_LINE_CHARS = 10_000

const text = z.string().optional().catch(undefined)
/** ISO 8601 whatever format it came in. */
const instant = z.union([z.string(), z.number()]).transform(isoOf).optional().catch(undefined)

function isoOf(given: string | number): string | undefined {
  const date = new Date(given)
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString()
}

export const ExistingAgentSchema = z.object({
  id: z.string().min(1).max(128),
  status: text,
  teamId: text,
  userId: text,
  userName: text,
  agentName: text,
  agentType: text,
  type: text,
  task: text,
  repositoryUrl: text,
  createdAt: instant,
  startedAt: instant,
  lastActivity: instant,
  completedAt: instant,
  exitCode: z.number().int().optional().catch(undefined),
})
export type ExistingAgent = z.infer<typeof ExistingAgentSchema>

/** One broken agent does not take the others out of the list. */
export const ExistingAgentListSchema = z.object({
  agents: z
    .array(z.unknown())
    .transform((agents) =>
      agents.slice(0, MAX_AGENTS).flatMap((agent) => ExistingAgentSchema.safeParse(agent).data ?? []),
    ),
})

const LineSchema = z.object({
  timestamp: z.string(),
  line: z.string().transform((line) => line.slice(0, MAX_LINE_CHARS)),
})
const linesOf = (lines: readonly unknown[]) =>
  lines.slice(-MAX_LINES).flatMap((line) => LineSchema.safeParse(line).data ?? [])
const lines = z.array(z.unknown()).transform(linesOf).optional().catch(undefined)

/** The lines stand beside the agent or in it. */
export const ExistingAgentAnswerSchema = z
  .object({ agent: ExistingAgentSchema.extend({ output: lines }), output: lines })
  .transform(({ agent, output }) => ({ agent: agent as ExistingAgent, output: output ?? agent.output ?? [] }))

/** Contract §5.1: what the existing server and its container code call a status, in the five words that clients know. */
const STATUS: Readonly<Record<string, AgentViewStatus>> = {
  requested: 'starting',
  pending: 'starting',
  provisioning: 'starting',
  spawning: 'starting',
  starting: 'starting',
  running: 'running',
  completed: 'completed',
  failed: 'failed',
  error: 'failed',
  killed: 'killed',
  stopped: 'killed',
}

/** A status that is none of these says at least that the agent is not known to be running. */
const statusOf = (agent: ExistingAgent): { status: AgentViewStatus; reason?: string } => {
  const given = agent.status?.trim().toLowerCase() ?? ''
  const status = Object.hasOwn(STATUS, given) ? STATUS[given] : undefined
  if (status) return { status }
  const named = given ? `the unknown status "${given.slice(0, 40)}"` : 'no status'
  return { status: 'failed', reason: `The existing server reports ${named}` }
}

/** @param asker Whose agent it is taken for when the answer does not say; @param now ISO 8601, where no time is given. */
export function toAgentView(
  agent: ExistingAgent,
  asker: { readonly userId: string; readonly teamId: string },
  now: string,
): AgentView {
  const createdAt = agent.createdAt ?? agent.startedAt ?? agent.lastActivity ?? now
  const agentType = agent.agentType || agent.type || 'claude'
  const userId = agent.userId || asker.userId
  return {
    id: agent.id,
    teamId: agent.teamId || asker.teamId,
    userId,
    userName: agent.userName || userId,
    agentName: agent.agentName ?? '',
    agentType,
    type: agentType,
    task: agent.task ?? '',
    ...statusOf(agent),
    method: 'ssh',
    repositoryUrl: agent.repositoryUrl || null,
    createdAt,
    startedAt: agent.startedAt ?? createdAt,
    lastActivity: agent.lastActivity ?? agent.completedAt ?? agent.startedAt ?? createdAt,
    completedAt: agent.completedAt ?? null,
    ...(agent.exitCode === undefined ? {} : { exitCode: agent.exitCode }),
  }
}
