/** The `ssh` backend of this machine: what the existing server does on its VM, as plain processes here. */
import * as z from 'zod'
import { MAX_INPUT_CHARS, MAX_TASK_CHARS } from '../../shared/contracts/limits.ts'
import { AgentSignalSchema } from '../../shared/contracts/link.ts'
import type { Accounts } from './accounts.ts'
import type { AgentProcesses } from './agents.ts'
import { bodyOf, type Handler, ok, Refusal } from './http.ts'

const SpawnSchema = z
  .object({ task: z.string().max(MAX_TASK_CHARS).default(''), agentType: z.enum(['claude', 'mock']).default('claude') })
  .refine(({ task, agentType }) => agentType === 'mock' || task.trim() !== '', {
    path: ['task'],
    message: 'is required: claude has no terminal here',
  })
const InputSchema = z.object({ input: z.string().min(1).max(MAX_INPUT_CHARS) })
const SignalSchema = z.object({ signal: AgentSignalSchema })

const notFound = () => new Refusal(404, 'Agent not found')

export function agentRoutes(agents: AgentProcesses, accounts: Accounts): Record<string, Handler> {
  return {
    'POST /api/agents/spawn': async ({ request, member }) => {
      const { userId, teamId } = await member()
      const order = await bodyOf(request, SpawnSchema)
      const known = accounts.membership(userId, teamId)
      const agent = agents.spawn({
        ...order,
        teamId,
        userId,
        userName: known?.user.name ?? userId,
        repositoryUrl: known?.team.repositoryUrl ?? null,
      })
      if (!agent) throw new Refusal(429, 'Too many agents are running')
      return ok({ message: 'Agent spawned', agent }, 201)
    },
    'GET /api/agents': async ({ member }) => ok({ agents: agents.list((await member()).teamId) }),
    'DELETE /api/agents': async ({ member }) =>
      ok({ message: 'Agents deleted', deletedCount: await agents.deleteAll((await member()).teamId) }),
    'GET /api/agents/:id': async ({ member, id }) => {
      const agent = agents.get((await member()).teamId, id)
      if (!agent) throw notFound()
      return ok({ agent })
    },
    'DELETE /api/agents/:id': async ({ member, id }) => {
      if (!(await agents.delete((await member()).teamId, id))) throw notFound()
      return ok({ message: 'Agent deleted', agentId: id })
    },
    'POST /api/agents/:id/input': async ({ request, member, id }) => {
      const { teamId } = await member()
      const { input } = await bodyOf(request, InputSchema)
      if (!agents.get(teamId, id)) throw notFound()
      if (!agents.input(teamId, id, input)) throw new Refusal(400, 'Agent is not running')
      return ok({ message: 'Input sent' })
    },
    'POST /api/agents/:id/signal': async ({ request, member, id }) => {
      const { teamId } = await member()
      const { signal } = await bodyOf(request, SignalSchema)
      if (!agents.get(teamId, id)) throw notFound()
      if (!agents.signal(teamId, id, signal)) throw new Refusal(400, 'Agent is not running')
      return ok({ message: 'Signal sent' })
    },
  }
}
