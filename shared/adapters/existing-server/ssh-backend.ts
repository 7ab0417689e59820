import * as z from 'zod'
import type { SshBackend } from '../../domain/agents/backend-port.ts'
import { type Clock, systemClock } from '../../domain/clock.ts'
import { Forbidden, NotFound, Unavailable } from '../../domain/errors.ts'
import { ExistingAgentAnswerSchema, ExistingAgentListSchema, toAgentView } from './agent-answers.ts'
import { createExistingServer } from './client.ts'
import { claimsOf } from './token-claims.ts'

/** Milliseconds; the functions behind these have 15 s (stop reads, writes and reads again), the one that deletes all 28 s. */
const TIMEOUT_MS = { spawn: 12_000, read: 4_000, write: 5_000, deleteAll: 22_000 } as const

/** What the frontend's own modal sends beside the task (contract §3.1); the existing server knows no other agent type. */
const SPAWN_DEFAULTS = { terminalLocation: 'local', terminalIsolation: 'tmux' } as const
/** The integration guide's names for what is `claude` there. */
const TYPE_THERE: Readonly<Record<string, string>> = { 'code-writer': 'claude', general: 'claude' }

const FINAL = new Set(['completed', 'failed', 'killed'])
const AnythingSchema = z.unknown()
const DeletedSchema = z.object({ deletedCount: z.number().int().min(0).catch(0) })

/** @param baseUrl LEGACY_API_URL; undefined: this stage has no existing server, hence no agents on it and no way to start one. */
export const createSshBackend = (baseUrl: string | undefined, clock: Clock = systemClock): SshBackend =>
  baseUrl === undefined ? noBackend : existingServerBackend(baseUrl, clock)

/** Its ids are UUIDs. What is none cannot be an agent there, and must not become another path (`..`). */
function pathOf(id: string, rest = ''): string {
  if (!/^[A-Za-z0-9_-]{1,128}$/.test(id)) throw new NotFound(`Agent ${id} not found`)
  return `/api/agents/${id}${rest}`
}

function existingServerBackend(baseUrl: string, clock: Clock): SshBackend {
  const server = createExistingServer(baseUrl)
  const now = () => clock.now().toISOString()

  /** The member of a token that the authorizer has let through. */
  const memberOf = (token: string) => {
    const member = claimsOf(token)
    if (!member) throw new Forbidden('This token does not name a member of a team')
    return member
  }
  /** The existing server answers for the token's team; should it ever answer with another team's agent, that stays here. */
  const ofTeam = (agent: { readonly teamId?: string | undefined }, teamId: string) =>
    !agent.teamId || agent.teamId === teamId

  const get: SshBackend['get'] = async (id, token) => {
    const member = memberOf(token)
    try {
      const { agent, output } = await server.call({
        method: 'GET',
        path: pathOf(id),
        token,
        answer: ExistingAgentAnswerSchema,
        timeoutMs: TIMEOUT_MS.read,
      })
      return ofTeam(agent, member.teamId) ? { agent: toAgentView(agent, member, now()), output } : undefined
    } catch (error) {
      if (error instanceof NotFound) return undefined
      throw error
    }
  }

  const post = (path: string, body: unknown, token: string) =>
    server.call({ method: 'POST', path, token, body, answer: AnythingSchema, timeoutMs: TIMEOUT_MS.write })

  return {
    get,
    async spawn({ task, agentType }, token) {
      const member = memberOf(token)
      const { agent } = await server.call({
        method: 'POST',
        path: '/api/agents/spawn',
        token,
        body: { task, agentType: TYPE_THERE[agentType] ?? agentType, ...SPAWN_DEFAULTS },
        answer: ExistingAgentAnswerSchema,
        timeoutMs: TIMEOUT_MS.spawn,
      })
      return toAgentView(agent, member, now())
    },
    async list(token) {
      const member = memberOf(token)
      const { agents } = await server.call({
        method: 'GET',
        path: '/api/agents',
        token,
        answer: ExistingAgentListSchema,
        timeoutMs: TIMEOUT_MS.read,
      })
      return agents.filter((agent) => ofTeam(agent, member.teamId)).map((agent) => toAgentView(agent, member, now()))
    },
    /**
     * The existing server has no route for it: its DELETE forgets the agent with its output, so stopping is SIGTERM, which
     * leaves both. One that has ended is left alone.
     */
    async stop(id, token) {
      const told = await get(id, token)
      if (!told) throw new NotFound(`Agent ${id} not found`)
      if (!FINAL.has(told.agent.status)) await post(pathOf(id, '/signal'), { signal: 'SIGTERM' }, token)
    },
    async delete(id, token) {
      try {
        await server.call({
          method: 'DELETE',
          path: pathOf(id),
          token,
          answer: AnythingSchema,
          timeoutMs: TIMEOUT_MS.write,
        })
      } catch (error) {
        if (!(error instanceof NotFound)) throw error
      }
    },
    async deleteAll(token) {
      const { deletedCount } = await server.call({
        method: 'DELETE',
        path: '/api/agents',
        token,
        answer: DeletedSchema,
        timeoutMs: TIMEOUT_MS.deleteAll,
      })
      return deletedCount
    },
    async input(id, input, token) {
      await post(pathOf(id, '/input'), { input }, token)
    },
    async signal(id, signal, token) {
      await post(pathOf(id, '/signal'), { signal }, token)
    },
  }
}

const notConfigured = async (): Promise<never> => {
  throw new Unavailable('Your team uses the existing server for its agents, and this stage has none configured')
}

const noBackend: SshBackend = {
  spawn: notConfigured,
  list: async () => [],
  get: async () => undefined,
  stop: notConfigured,
  delete: async () => undefined,
  deleteAll: async () => 0,
  input: notConfigured,
  signal: notConfigured,
}
