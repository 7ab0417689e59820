/** A gateway in front of a task, and a visitor that speaks to it as no browser would. */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { WebSocketServer } from 'ws'
import type { LogFields } from '../../../container-images/common/src/log.ts'
import {
  type Gateway,
  type GatewayOptions,
  startGateway,
} from '../../../container-images/preview-gateway/src/gateway.ts'
import { MemoryDirectory } from '../../../container-images/preview-gateway/src/memory-directory.ts'
import { PREVIEW_COOKIE_TTL_MS, type PreviewDirectoryItem } from '../../../shared/contracts/previews.ts'
import { enterUrl, issueTicket, newPreviewLabel, newTicketId } from '../../../shared/domain/previews/signatures.ts'

export const SECRET = 'a secret of previews, as long as one has to be'
export const APP = 'https://app.example'
export const DOMAIN = 'preview.example'
export const TEAM = 'team-1'

export type Answer = {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
  /** False: the connection was cut before the end of the body. */
  readonly complete: boolean
}
export type Ask = {
  readonly method?: string
  readonly host?: string
  readonly headers?: Record<string, string | string[]>
  readonly body?: string
}

/** A task's HTTP server: `handle` is what it does, `seen` what came to it. */
export async function startTask(handle: (request: IncomingMessage, response: ServerResponse) => void) {
  const seen: { method: string; url: string; headers: IncomingMessage['headers'] }[] = []
  const server = createServer((incoming, response) => {
    seen.push({ method: incoming.method ?? '', url: incoming.url ?? '', headers: incoming.headers })
    handle(incoming, response)
  })
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (incoming, socket, head) => {
    seen.push({ method: 'UPGRADE', url: incoming.url ?? '', headers: incoming.headers })
    if (incoming.url?.startsWith('/refused')) {
      socket.end('HTTP/1.1 403 Forbidden\r\nset-cookie: a=1; Domain=preview.example\r\ncontent-length: 2\r\n\r\nno')
      return
    }
    sockets.handleUpgrade(incoming, socket, head, (client) => {
      client.on('message', (data) => client.send(String(data)))
      sockets.emit('connection', client, incoming)
    })
  })
  const port = await listening(server)
  const close = () => {
    for (const client of sockets.clients) client.terminate()
    server.closeAllConnections()
    server.close()
  }
  onTestFinished(close)
  return { port, seen, server, sockets, close }
}

/** A task that speaks bare TCP: `onRequest` gets each piece that arrives. */
export async function startBareTask(onRequest: (piece: string, socket: Socket) => void) {
  const open = new Set<Socket>()
  const received: string[] = []
  const server = createTcpServer((socket) => {
    open.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => open.delete(socket))
    socket.on('data', (piece) => {
      received.push(piece.toString('latin1'))
      onRequest(piece.toString('latin1'), socket)
    })
  })
  const port = await listening(server)
  onTestFinished(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return { port, received, open }
}

const listening = (server: Server): Promise<number> =>
  new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })

export async function startFixture(options: Partial<GatewayOptions> & { taskPort?: number } = {}) {
  const directory = new MemoryDirectory()
  const log: ({ message: string } & LogFields)[] = []
  const gateway: Gateway = await startGateway({
    directory,
    secret: SECRET,
    domain: DOMAIN,
    scheme: 'https',
    appOrigins: [APP],
    host: '127.0.0.1',
    port: 0,
    log: (level, message, fields) => void log.push({ ...fields, message, level }),
    ...options,
  })
  onTestFinished(() => gateway.close())
  const label = newPreviewLabel('workspace')
  const preview: PreviewDirectoryItem = {
    teamId: TEAM,
    branch: 'workspace',
    environmentId: 'preview-1',
    status: 'running',
    idle: false,
    address: '127.0.0.1',
    port: options.taskPort ?? 1,
    public: false,
  }
  directory.items.set(label, preview)
  const host = `${label}.${DOMAIN}`

  const ask = (path: string, { method = 'GET', headers = {}, body, host: other }: Ask = {}): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const outgoing = request(
        {
          port: gateway.port,
          host: '127.0.0.1',
          path,
          method,
          agent: false,
          headers: { host: other ?? host, ...headers },
        },
        (answer) => {
          const pieces: Buffer[] = []
          answer.on('data', (piece: Buffer) => pieces.push(piece))
          // A body that is cut is an answer, too.
          answer.on('error', () => undefined)
          answer.on('close', () =>
            resolve({
              status: answer.statusCode ?? 0,
              headers: answer.headers,
              body: Buffer.concat(pieces).toString(),
              complete: answer.complete,
            }),
          )
        },
      )
      outgoing.on('error', reject)
      outgoing.end(body)
    })

  const ticket = (more: Partial<Parameters<typeof issueTicket>[0]> = {}, secret = SECRET): string =>
    issueTicket(
      {
        label,
        teamId: TEAM,
        userId: 'ada',
        exp: Date.now() + 60_000,
        until: Date.now() + 3 * PREVIEW_COOKIE_TTL_MS,
        id: newTicketId(),
        ...more,
      },
      secret,
    )

  /** The path that the frontend opens, without what it appends. */
  const entrance = (text = ticket()): string => enterUrl('', text)

  /** The `Cookie` header of a member who came in. */
  const member = async (): Promise<string> => {
    const answer = await ask(entrance())
    return answer.headers['set-cookie']?.[0]?.split(';')[0] ?? ''
  }

  return { gateway, directory, log, label, preview, host, ask, ticket, entrance, member }
}

/** Writes `text` to the gateway and resolves with everything it answers until it closes the connection. */
export function raw(port: number, text: string | readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      for (const piece of typeof text === 'string' ? [text] : text) socket.write(piece, 'latin1')
    })
    const pieces: Buffer[] = []
    socket.on('data', (piece) => pieces.push(piece))
    socket.on('close', () => resolve(Buffer.concat(pieces).toString('latin1')))
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // Cut by the gateway: what it said before counts.
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error)
    })
  })
}

/** Status codes of the answers in what `raw` returned, in order. */
export const statuses = (text: string): number[] =>
  [...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map((match) => Number(match[1]))
