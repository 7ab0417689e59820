/** API Gateway's two APIs on one loopback port, as far as the realtime handlers see them; handlers run side by side. */
import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type WebSocket, WebSocketServer } from 'ws'
import { ENGINE_MAX_PAYLOAD_BYTES } from '../../../shared/contracts/limits.ts'
import { answerGet, answerPost } from '../../../shared/domain/realtime/polling-http.ts'
import type { ConnectionPoster } from '../../../shared/domain/realtime/ports.ts'
import {
  onClientMessage,
  onConnect,
  onContainerMessage,
  onDisconnect,
} from '../../../shared/domain/realtime/websocket-events.ts'
import { createWorld } from '../../unit/realtime/support/world.ts'

export async function startGateway({ jitterMs = 0 } = {}) {
  const open = new Map<string, WebSocket>()
  const httpSockets = new Set<Socket>()
  const failures: unknown[] = []
  const requests: string[] = []
  const pause = () => (jitterMs === 0 ? Promise.resolve() : sleep(Math.random() * jitterMs))
  const poster: ConnectionPoster = {
    async post(connectionId, text) {
      await pause()
      const socket = open.get(connectionId)
      if (!socket) return 'gone'
      if (Buffer.byteLength(text) > 32 * 1024) throw new Error('a frame over 32 KB')
      socket.send(text)
      return 'sent'
    },
    async close(connectionId) {
      open.get(connectionId)?.close(1000)
    },
  }
  const world = createWorld({ clock: { now: () => new Date() }, sleep: (ms) => sleep(ms), poster })
  const { deps } = world
  /** Handlers of one connection overlap, as Lambda's do. */
  const invoke = (handle: () => Promise<unknown>): void => {
    void pause()
      .then(handle)
      .catch((error: unknown) => failures.push(error))
  }

  const server = createServer((request, response) => {
    void answerHttp(request, response).catch((error: unknown) => {
      failures.push(error)
      response.writeHead(503).end()
    })
  })
  server.on('connection', (socket) => {
    httpSockets.add(socket)
    socket.on('close', () => httpSockets.delete(socket))
  })

  async function answerHttp(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://gateway')
    requests.push(`${request.method} ${url.searchParams.get('transport')}`)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    await pause()
    const query = Object.fromEntries(url.searchParams)
    const received = { at: Date.now(), requestId: randomBytes(8).toString('hex') }
    const text = Buffer.concat(chunks)
    if (text.length > ENGINE_MAX_PAYLOAD_BYTES) throw new Error('body too large')
    const answer =
      request.method === 'POST'
        ? await answerPost(query, () => text.toString(), received, deps)
        : await answerGet(query, deps)
    const body = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body)
    response.writeHead(answer.status, { 'content-type': 'text/plain; charset=UTF-8' }).end(body)
  }

  const webSockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 128 * 1024 })
  server.on('upgrade', (request, socket: Socket, head) => {
    void (async () => {
      const url = new URL(request.url ?? '/', 'http://gateway')
      requests.push(`WS ${url.searchParams.get('transport')}`)
      const connectionId = randomBytes(9).toString('base64')
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))
      const status = await onConnect({ connectionId, headers, query: Object.fromEntries(url.searchParams) }, deps)
      if (status !== 200)
        return socket.end(`HTTP/1.1 ${status} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
      await pause()
      webSockets.handleUpgrade(request, socket, head, (ws) => accept(ws, connectionId))
    })().catch((error: unknown) => failures.push(error))
  })

  function accept(ws: WebSocket, connectionId: string): void {
    open.set(connectionId, ws)
    ws.on('message', (data) => {
      const text = String(data)
      const received = { at: Date.now(), requestId: randomBytes(8).toString('hex') }
      const isLink = /^\s*\{.*"action"\s*:\s*"link"/s.test(text)
      invoke(() =>
        isLink
          ? onContainerMessage({ connectionId, text, received }, deps)
          : onClientMessage({ connectionId, text, received }, deps),
      )
    })
    ws.on('error', () => ws.terminate())
    ws.on('close', () => {
      open.delete(connectionId)
      invoke(() => onDisconnect(connectionId, deps))
    })
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    world,
    open,
    failures,
    requests,
    /** Breaks every connection, as a network does. */
    cut(): void {
      for (const socket of open.values()) socket.terminate()
      for (const socket of httpSockets) socket.destroy()
    },
    async close(): Promise<void> {
      for (const socket of open.values()) socket.terminate()
      webSockets.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
export type Gateway = Awaited<ReturnType<typeof startGateway>>
