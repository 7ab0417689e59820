/** Reaching a dev server as the gateway does: at the task's own address. */
import { get } from 'node:http'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Listener } from './listening.ts'

const ANY = new Set(['0.0.0.0', '::', '0:0:0:0:0:0:0:0'])
const CONNECT_MS = 1_000
const ANSWER_MS = 20_000

/** Where a server that is told to listen on `host` is visited: the machine's own address when that is every address. */
export function visitedAddress(host: string): string {
  if (!ANY.has(host)) return host
  const outward = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ internal, family }) => !internal && family === 'IPv4')
  return outward?.address ?? '127.0.0.1'
}

/** Where a listener is reached from this machine. */
export const localAddress = ({ address }: Listener): string =>
  address === '0.0.0.0' ? '127.0.0.1' : ANY.has(address) ? '::1' : address

/** Whether something takes connections there. */
export function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: CONNECT_MS })
    const done = (open: boolean) => {
      socket.destroy()
      resolve(open)
    }
    socket.once('connect', () => done(true))
    socket.once('timeout', () => done(false))
    socket.once('error', () => done(false))
  })
}

/** What a browser gets at `/`: of a page and an API beside it, the page is the preview. `silent`: it speaks no HTTP. */
export function frontOf({ address, port }: Listener): Promise<'page' | 'other' | 'silent'> {
  const options = {
    host: localAddress({ address, port }),
    port,
    timeout: ANSWER_MS,
    headers: { host: `localhost:${port}`, accept: 'text/html' },
  }
  return new Promise((resolve) => {
    const request = get(options, ({ statusCode = 0, headers }) => {
      const leadsOn = statusCode >= 300 && statusCode < 400
      const page = statusCode < 300 && /^text\/html\b/i.test(headers['content-type'] ?? '')
      resolve(leadsOn || page ? 'page' : 'other')
      request.destroy()
    })
    request.once('timeout', () => request.destroy())
    request.once('error', () => resolve('silent'))
  })
}

/** Takes connections where a dev server was asked to and passes them, byte for byte, to where it listens instead. */
export class Forwarder {
  readonly target: Listener
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(target: Listener) {
    this.target = target
    this.#server = createServer({ allowHalfOpen: true }, (visitor) => this.#pass(visitor))
  }

  /** Rejects when the port is taken. */
  static async open(host: string, port: number, target: Listener): Promise<Forwarder> {
    const forwarder = new Forwarder(target)
    await new Promise<void>((resolve, reject) => {
      forwarder.#server.once('error', reject)
      forwarder.#server.listen(port, host, resolve)
    })
    return forwarder
  }

  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }

  #pass(visitor: Socket): void {
    const server = connect({ host: localAddress(this.target), port: this.target.port, allowHalfOpen: true })
    const both = [visitor, server]
    for (const socket of both) {
      this.#sockets.add(socket)
      socket.setNoDelay(true)
      // An end on one side in mid-connection is an end for both.
      socket.on('error', () => {
        for (const other of both) other.destroy()
      })
      socket.on('close', () => {
        this.#sockets.delete(socket)
        for (const other of both) other.destroySoon()
      })
    }
    visitor.pipe(server)
    server.pipe(visitor)
  }
}
