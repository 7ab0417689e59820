/**
 * The peer: one process with a plain Socket.IO server, a room for a team and the same program in a PTY of its own, every byte
 * emitted to a room. What a server on one machine can do at best, without a log, without authorization, without anything that
 * survives a restart.
 */
import { createServer } from 'node:http'
import { join } from 'node:path'
import { spawn } from '@lydell/node-pty'
import { Server } from 'socket.io'
import { listen } from '../../local/common/listen.ts'

const MOCK_AGENT = join(import.meta.dirname, '..', '..', 'container-images', 'agent', 'src', 'mock-agent.ts')

export async function startPlainServer() {
  const http = createServer()
  const url = await listen(http)
  const server = new Server(http)
  const pty = spawn(process.execPath, [MOCK_AGENT], { name: 'xterm-256color', cols: 80, rows: 24 })
  server.on('connection', (socket) => {
    socket.on('join-team', async ({ teamId }: { teamId: string }) => {
      await socket.join('team')
      socket.emit('team-joined', { teamId })
    })
    socket.on('terminal_connect', async () => {
      await socket.join('terminal')
      socket.emit('terminal_connected', { agentId: 'plain' })
    })
    socket.on('terminal_input', ({ data }: { data: string }) => pty.write(data))
  })
  pty.onData((data) => server.to('terminal').emit('terminal_data', { agentId: 'plain', data }))
  return {
    url,
    tellTeam: (name: string, payload: unknown) => void server.to('team').emit(name, payload),
    async close() {
      pty.kill()
      await server.close()
    },
  }
}
