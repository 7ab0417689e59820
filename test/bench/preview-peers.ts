/**
 * A part of the preview bench as a process of its own, told by its argument: the dev server, the gateway in front of it, a bare
 * http-proxy-3 in its place, or the visitors. Speaks with its parent over Node's channel.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Agent, createServer, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { ProxyServer } from 'http-proxy-3'
import { startGateway } from '../../container-images/preview-gateway/src/gateway.ts'
import { MemoryDirectory } from '../../container-images/preview-gateway/src/memory-directory.ts'
import { PREVIEW_COOKIE } from '../../shared/contracts/previews.ts'
import { issueCookie, newPreviewLabel } from '../../shared/domain/previews/signatures.ts'

export type PeerRole = 'dev-server' | 'gateway' | 'bare-proxy' | 'visitors'
/** Where a server listens, and what a request to it needs. */
export type Listening = { readonly port: number; readonly headers: readonly string[] }
/** Requests one after the other on each of the connections. */
export type Load = Listening & { readonly connections: number; readonly ms: number }
/** Milliseconds of each request. */
export type Visits = { readonly delays: readonly number[] }
/** Microseconds of CPU time and bytes of memory that the process has taken so far. */
export type Usage = { readonly cpuUs: number; readonly rss: number }

/** Bytes of an answer: a module as a dev server sends them. */
const BODY = randomBytes(4 * 1024).toString('base64url')
const DOMAIN = 'preview.localhost'

const [role, upstreamPort] = process.argv.slice(2)
if (role === 'visitors') process.on('message', (load: Load) => void visit(load).then(tell))
else {
  tell(await serve(role, Number(upstreamPort)))
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    tell({ cpuUs: user + system, rss: process.memoryUsage.rss() } satisfies Usage)
  })
}

function tell(message: Listening | Visits | Usage): void {
  process.send?.(message)
}

async function serve(what: string | undefined, upstream: number): Promise<Listening> {
  switch (what) {
    case 'dev-server':
      return { port: await listening(createServer((_, response) => response.end(BODY))), headers: [] }
    case 'bare-proxy': {
      const proxy = new ProxyServer({})
      const agent = new Agent({ keepAlive: true })
      const target = { protocol: 'http:', host: '127.0.0.1', port: upstream }
      const server = createServer((request, response) => void proxy.web(request, response, { target, agent }))
      return { port: await listening(server), headers: [] }
    }
    case 'gateway':
      return serveGateway(upstream)
    default:
      throw new Error(`There is no part ${what}`)
  }
}

async function listening(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return (server.address() as AddressInfo).port
}

async function serveGateway(upstream: number): Promise<Listening> {
  const secret = randomBytes(48).toString('base64url')
  const label = newPreviewLabel('workspace')
  const directory = new MemoryDirectory()
  directory.items.set(label, {
    teamId: 'team',
    branch: 'workspace',
    environmentId: 'preview',
    status: 'running',
    idle: false,
    address: '127.0.0.1',
    port: upstream,
    public: false,
  })
  const { port } = await startGateway({
    directory,
    secret,
    domain: DOMAIN,
    scheme: 'http',
    appOrigins: ['http://localhost:3001'],
    host: '127.0.0.1',
    port: 0,
    log: () => undefined,
  })
  const cookie = issueCookie({ label, userId: 'member', exp: Date.now() + 3_600_000 }, secret)
  return { port, headers: [`host: ${label}.${DOMAIN}:${port}`, `cookie: ${PREVIEW_COOKIE}=${cookie}`] }
}

/** What a browser sends with a request for a module; over bare sockets, so that the visitors cost less than what they visit. */
const requestText = ({ headers }: Listening): string =>
  [
    'GET /src/module.js HTTP/1.1',
    ...(headers.length > 0 ? headers : ['host: localhost']),
    'connection: keep-alive',
    'user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/149.0.0.0 Safari/537.36',
    'accept: */*',
    'accept-encoding: gzip, deflate, br, zstd',
    'accept-language: en-US,en;q=0.9',
    'sec-fetch-dest: script',
    'sec-fetch-mode: cors',
    'sec-fetch-site: same-origin',
    '\r\n',
  ].join('\r\n')

async function visit(load: Load): Promise<Visits> {
  const delays: number[] = []
  const until = performance.now() + load.ms
  const text = requestText(load)
  const visitor = async () => {
    const socket = connect({ port: load.port, host: '127.0.0.1', noDelay: true })
    while (performance.now() < until) {
      const startedAt = performance.now()
      socket.write(text)
      await wholeAnswer(socket)
      delays.push(performance.now() - startedAt)
    }
    socket.destroy()
  }
  await Promise.all(Array.from({ length: load.connections }, visitor))
  return { delays }
}

/** @throws when the answer is no 200 with a length, or the connection ends. */
function wholeAnswer(socket: Socket): Promise<void> {
  let head = ''
  let left: number | undefined
  return new Promise((resolve, reject) => {
    const done = (error?: Error) => {
      socket.off('data', onData).off('close', onClose).off('error', done)
      if (error) reject(error)
      else resolve()
    }
    const onClose = () => done(new Error('The connection was closed in the middle of an answer'))
    const onData = (piece: Buffer) => {
      if (left !== undefined) left -= piece.length
      else {
        head += piece.toString('latin1')
        const end = head.indexOf('\r\n\r\n')
        if (end === -1) return
        const length = /\r\ncontent-length: (\d+)\r\n/i.exec(head.slice(0, end + 2))?.[1]
        if (!head.startsWith('HTTP/1.1 200 ') || length === undefined)
          return done(new Error(`Answered with ${head.slice(0, end)}`))
        left = Number(length) - (head.length - end - 4)
      }
      if (left <= 0) done()
    }
    socket.on('data', onData).on('close', onClose).on('error', done)
  })
}
