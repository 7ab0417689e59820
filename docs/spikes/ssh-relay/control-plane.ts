/**
 * The real socket endpoint (`shared/domain/realtime` behind a gateway in memory) with the bridge attached to it: what the flags
 * issue builds as functions, stores and a service, here as one process.
 */
import { ExistingAgentSchema, toAgentView } from '../../../shared/adapters/existing-server/agent-answers.ts'
import type { ServerEvent } from '../../../shared/contracts/socket-events.ts'
import { publishEntries } from '../../../shared/domain/realtime/publishing.ts'
import { startGateway } from '../../../test/integration/realtime/gateway.ts'
import { changesOf, isLive, type MirrorChange, type Mirrored, type Observed, type Report } from './mirror.ts'
import { createSshBridge, type RunningAgent } from './ssh-bridge.ts'
import { openTerminalLink } from './terminal-link.ts'

export async function startControlPlane(existingServerUrl: string, { jitterMs = 0 } = {}) {
  const gateway = await startGateway({ jitterMs })
  const { world } = gateway
  const mirror = new Map<string, Map<string, Mirrored>>()
  /** The flag, as it is now. */
  const onSsh = new Set<string>()
  const logged: { message: string; fields: Record<string, unknown> }[] = []
  const fault: { report?: Error } = {}
  let turn: Promise<unknown> = Promise.resolve()
  let bridge = start()

  function start() {
    return createSshBridge(existingServerUrl, {
      report: (report) => inTurn(() => commit(report)),
      openTerminal: (agent, onInput) => openTerminalLink(gateway.url.replace('http', 'ws'), agent, onInput),
      log: (message, fields) => logged.push({ message, fields }),
    })
  }

  /** Stands for the records' compare-and-set: one change of the mirror after the other. */
  function inTurn<T>(run: () => Promise<T>): Promise<T> {
    const next = turn.then(run)
    turn = next.catch(() => undefined)
    return next
  }

  const known = (teamId: string) => mirror.get(teamId) ?? new Map<string, Mirrored>()
  /** Whose terminals are followed; the existing server refuses those of agents that only start. */
  const runningOf = (teamId: string): RunningAgent[] =>
    [...known(teamId).values()]
      .filter(({ status, deleted }) => status === 'running' && !deleted)
      .map(({ id, userId }) => ({ teamId, id, userId }))

  async function commit(report: Report): Promise<RunningAgent[]> {
    if (fault.report) throw fault.report
    const { teamId } = report
    const agents = known(teamId)
    mirror.set(teamId, agents)
    for (const change of changesOf(report, agents)) {
      const { agent } = change
      agents.set(agent.id, agent)
      const event = eventOf(teamId, change)
      if (!event) continue
      const createdBy = { userId: agent.userId, userName: agent.userId }
      const deletedAt = agent.deleted ? { deletedAt: new Date().toISOString() } : {}
      world.addAgent({ id: agent.id, teamId, backend: 'ssh', status: agent.status, createdBy, ...deletedAt })
      const entry = await world.ledger.store.append({
        teamId,
        at: new Date().toISOString(),
        actor: { kind: 'platform' },
        cause: 'existing-server-reported',
        correlationId: `existing-${teamId}`,
        event,
      })
      await publishEntries([entry], world.deps)
    }
    return runningOf(teamId)
  }

  /** Whether the existing server has anything for this team: by flag for new agents, by record for those that still run. */
  const needs = (teamId: string): boolean => onSsh.has(teamId) || [...known(teamId).values()].some(isLive)

  const { verifyToken } = world.deps
  Object.assign(world.deps, {
    // CONNECT and join-team both come by here with the member's own token.
    verifyToken: async (token: string) => {
      const user = await verifyToken(token)
      if (user && needs(user.teamId)) bridge.offer({ ...user, token })
      return user
    },
  })

  return {
    gateway,
    mirror,
    onSsh,
    logged,
    fault,
    /** Connections at the existing server. */
    legs: () => bridge.legs(),
    /**
     * GET /api/agents: what the existing server lists is told of before it is answered, so that no client sees an agent in a list
     * and gets its `agent-spawned` later, which would show it twice.
     */
    async list(teamId: string, token: string): Promise<Observed[]> {
      const response = await fetch(`${existingServerUrl}/api/agents`, { headers: { authorization: `Bearer ${token}` } })
      const { agents } = (await response.json()) as { agents: Observed[] }
      for (const agent of agents) await inTurn(() => commit({ teamId, kind: 'spawned', agent }))
      return agents
    },
    /** A spawn on the existing server comes with the spawner's token, so a flip needs no reconnect. */
    spawnedOverSsh(teamId: string, userId: string, token: string): void {
      if (needs(teamId)) bridge.offer({ teamId, userId, token })
    },
    /**
     * The bridge's task was replaced: it knows no token any more, so the sessions of teams that need it are closed, and their
     * clients show theirs again when they resume.
     */
    async restartBridge(): Promise<void> {
      bridge.close()
      bridge = start()
      gateway.cut()
    },
    async close(): Promise<void> {
      bridge.close()
      await turn
      await gateway.close()
    },
  }
}
export type ControlPlane = Awaited<ReturnType<typeof startControlPlane>>

function eventOf(teamId: string, { kind, agent: { id, userId, status } }: MirrorChange): ServerEvent | undefined {
  const now = new Date().toISOString()
  switch (kind) {
    case 'spawned': {
      const agent = ExistingAgentSchema.parse({ id, userId, status, teamId })
      return ['agent-spawned', { agent: toAgentView(agent, { userId, teamId }, now) }]
    }
    case 'status':
      return ['agent-status', { agentId: id, status, timestamp: now }]
    case 'deleted':
      return ['agent-deleted', { agentId: id }]
    case 'forgotten':
      return undefined
  }
}
