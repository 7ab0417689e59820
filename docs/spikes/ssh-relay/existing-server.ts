/**
 * Stands for the existing server's sockets: a real `socket.io` server with the events, rooms and rules of the frontend contract
 * (§4, §5), as far as agents go. Tokens are `<user>@<team>`. It replays nothing, like the original.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server, type Socket } from 'socket.io'

export interface ExistingAgent {
  readonly id: string
  readonly teamId: string
  readonly userId: string
  status: string
}

const memberOf = (token: unknown): { userId: string; teamId: string } | undefined => {
  const [userId, teamId] = typeof token === 'string' ? token.split('@') : []
  return userId && teamId ? { userId, teamId } : undefined
}

/** @param options Heartbeat in milliseconds; by default the original's 25 s and 60 s. */
export async function startExistingServer({ pingInterval = 25_000, pingTimeout = 60_000, port = 0 } = {}) {
  const agents = new Map<string, ExistingAgent>()
  const typed = new Map<string, string>()
  const refused = new Set<string>()
  const http = createServer(answer)
  const io = new Server(http, { pingInterval, pingTimeout })

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const member = memberOf(request.headers.authorization?.replace(/^Bearer /, ''))
    const ofTeam = member && [...agents.values()].filter(({ teamId }) => teamId === member.teamId)
    response.writeHead(ofTeam ? 200 : 403, { 'content-type': 'application/json' })
    response.end(JSON.stringify(ofTeam ? { agents: ofTeam } : { error: 'Invalid or expired token' }))
  }

  io.use((socket, next) => {
    const { token } = socket.handshake.auth
    const member = refused.has(String(token)) ? undefined : memberOf(token)
    socket.data.member = member
    next(member ? undefined : new Error('Authentication failed'))
  })
  io.on('connection', (socket) => {
    const { userId, teamId } = socket.data.member as { userId: string; teamId: string }
    socket.on('join-team', (payload: { teamId: string }) => {
      if (payload.teamId !== teamId) return socket.emit('error', { message: 'Access denied' })
      void socket.join(teamId)
      socket.emit('team-joined', { teamId, userId, messages: [] })
    })
    socket.on('terminal_connect', ({ agentId }: { agentId: string }) => {
      const agent = agents.get(agentId)
      if (agent?.teamId !== teamId || agent.status !== 'running') {
        return socket.emit('terminal_error', { agentId, error: 'Agent not running' })
      }
      void socket.join(`terminal ${agentId}`)
      socket.emit('terminal_connected', { agentId })
    })
    socket.on('terminal_disconnect', ({ agentId }: { agentId: string }) => socket.leave(`terminal ${agentId}`))
    socket.on('terminal_input', (input: { agentId: string; data: string }) => type(socket, userId, input))
  })

  function type(socket: Socket, userId: string, { agentId, data }: { agentId: string; data: string }): void {
    if (agents.get(agentId)?.userId !== userId) {
      socket.emit('terminal_error', { agentId, error: 'Only the owner may type' })
      return
    }
    typed.set(agentId, (typed.get(agentId) ?? '') + data)
    io.to(`terminal ${agentId}`).emit('terminal_data', { agentId, data })
  }

  await new Promise<void>((resolve) => http.listen(port, '127.0.0.1', resolve))
  const { port: listening } = http.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${listening}`,
    port: listening,
    io,
    agents,
    /** What has reached each agent's PTY. */
    typed,
    /** Tokens that are refused from now on, as expired ones are. */
    refused,
    spawn(agent: ExistingAgent): void {
      agents.set(agent.id, agent)
      io.to(agent.teamId).emit('agent-spawned', { agent })
    },
    status(agentId: string, status: string): void {
      const agent = agents.get(agentId)
      if (!agent) throw new Error(`no agent ${agentId}`)
      agent.status = status
      io.to(agent.teamId).emit('agent-status', { agentId, status })
    },
    remove(agentId: string): void {
      const agent = agents.get(agentId)
      agents.delete(agentId)
      if (agent) io.to(agent.teamId).emit('agent-deleted', { agentId })
    },
    say(agentId: string, data: string): void {
      io.to(`terminal ${agentId}`).emit('terminal_data', { agentId, data })
    },
    /** Breaks every connection, as a restart does. */
    cut(): void {
      for (const socket of io.of('/').sockets.values()) socket.conn.close()
    },
    async close(): Promise<void> {
      await io.close()
    },
  }
}
export type ExistingServerStandIn = Awaited<ReturnType<typeof startExistingServer>>
