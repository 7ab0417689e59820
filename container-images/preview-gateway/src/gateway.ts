/** The gateway as a server: every request and upgrade is judged here, and passed, answered or refused. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { jsonLog, type Log } from '../../common/src/log.ts'
import { Access } from './access.ts'
import { answerBrokenRequest } from './broken-requests.ts'
import { CachedDirectory, messageOf, type PreviewDirectory } from './directory.ts'
import { GATEWAY_LIMITS, type GatewayLimits } from './limits.ts'
import { OpenVisits } from './open-visits.ts'
import { type Page, refuseUpgrade, sendPage } from './pages.ts'
import { Reception } from './reception.ts'
import { Turns } from './turns.ts'
import { Upstream } from './upstream.ts'
import { Waiting } from './waiting.ts'

export type GatewayOptions = {
  readonly directory: PreviewDirectory
  readonly secret: string
  /** Previews are one label below it; without a port. */
  readonly domain: string
  /** Where the browser sees previews. */
  readonly scheme: 'http' | 'https'
  /** Who may frame a preview; the first is where visitors are sent. */
  readonly appOrigins: readonly string[]
  readonly host: string
  /** 0: any. */
  readonly port: number
  readonly behindLoadBalancer?: boolean
  readonly limits?: Partial<GatewayLimits>
  readonly log?: Log
  /** Milliseconds since the epoch. */
  readonly now?: () => number
}
export type Gateway = {
  readonly port: number
  readonly isDraining: () => boolean
  /** Ends gracefully: takes requests for `lameDuckMs` more, lets those under way finish until `drainMs`, then cuts. */
  readonly drain: () => Promise<void>
  /** Ends at once. */
  readonly close: () => Promise<void>
}

const FAULT: Page = { status: 500, title: 'The gateway has a fault', text: 'The request was not passed on.' }

/** The gateway's log: never paths, queries, headers, tickets or cookies, any of which may hold a secret. */
export const gatewayLog: Log = jsonLog({ service: 'preview-gateway' })

/** Resolves when it listens; rejects when the port is taken. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const gateway = new PreviewGateway(options)
  return gateway.start()
}

class PreviewGateway {
  readonly #options: GatewayOptions
  readonly #limits: GatewayLimits
  readonly #log: Log
  readonly #upstream: Upstream
  readonly #reception: Reception
  readonly #open: OpenVisits
  readonly #server: Server
  readonly #turns: Turns
  #draining = false

  constructor(options: GatewayOptions) {
    this.#options = options
    this.#limits = { ...GATEWAY_LIMITS, ...options.limits }
    this.#log = options.log ?? gatewayLog
    this.#turns = new Turns(this.#limits.pipelined)
    const { domain, scheme, now = Date.now } = options
    const directory = new CachedDirectory(options.directory, this.#limits, this.#log, now)
    this.#open = new OpenVisits(directory, this.#limits.lookAgainMs, now)
    const waiting = new Waiting(this.#limits, now)
    this.#upstream = new Upstream({
      scheme,
      appOrigins: options.appOrigins,
      behindLoadBalancer: options.behindLoadBalancer ?? false,
      limits: this.#limits,
      log: this.#log,
      visited: (label) => directory.visited(label),
      waiting,
      draining: () => this.#draining,
    })
    this.#reception = new Reception({
      directory,
      access: new Access(options.secret, directory, this.#limits, now),
      upstream: this.#upstream,
      open: this.#open,
      waiting,
      domain,
      scheme,
      limits: this.#limits,
      log: this.#log,
    })
    this.#server = createServer(
      {
        insecureHTTPParser: false,
        requireHostHeader: true,
        maxHeaderSize: this.#limits.headerBytes,
        headersTimeout: this.#limits.headersMs,
        // An upload may take long; that it moves is watched on the task's side.
        requestTimeout: 0,
        connectionsCheckingInterval: Math.min(5_000, this.#limits.headersMs),
        keepAliveTimeout: this.#limits.keepAliveMs,
        // `Upgrade: h2c` and the like are offers that a server may ignore (RFC 9110 §7.8).
        shouldUpgradeCallback: (request) => request.headers.upgrade?.toLowerCase() === 'websocket',
      },
      (request, response) => void this.#guard(request, response),
    )
    this.#server.maxConnections = this.#limits.maxConnections
    this.#server.on('upgrade', (request, socket, head) => void this.#guardUpgrade(request, socket, head))
    this.#server.on('clientError', (error, socket) => answerBrokenRequest(error, socket))
  }

  start(): Promise<Gateway> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(this.#options.port, this.#options.host, () => {
        this.#server.off('error', reject)
        this.#server.on('error', (error) => this.#log('ERROR', 'The server has a fault', { error: messageOf(error) }))
        resolve({
          port: (this.#server.address() as AddressInfo).port,
          isDraining: () => this.#draining,
          drain: () => this.#drain(),
          close: () => this.#close(),
        })
      })
    })
  }

  async #guard(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A socket that breaks while the directory is asked is nobody's fault.
    request.on('error', () => undefined)
    response.on('error', () => undefined)
    // Awaited only when there is something to wait for.
    const turn = this.#turns.take(request.socket, response)
    if (turn !== true && !(await turn)) return
    if (this.#draining) response.shouldKeepAlive = false
    try {
      const page = await this.#reception.handle(request, response)
      if (page) sendPage(request, response, page, this.#options)
    } catch (error) {
      this.#log('ERROR', 'A request met a fault', { error: stackOf(error) })
      if (response.headersSent) response.destroy()
      else sendPage(request, response, FAULT, this.#options)
    }
  }

  async #guardUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy())
    // Behind a request that is not answered yet there is no telling whose answer is whose.
    if (this.#turns.isBusy(request.socket)) {
      socket.destroy()
      return
    }
    try {
      const page = await this.#reception.handleUpgrade(request, socket, head)
      if (page) refuseUpgrade(socket, page)
    } catch (error) {
      this.#log('ERROR', 'An upgrade met a fault', { error: stackOf(error) })
      refuseUpgrade(socket, FAULT)
    }
  }

  async #drain(): Promise<void> {
    this.#draining = true
    const duck = this.#options.behindLoadBalancer ? this.#limits.lameDuckMs : 0
    await new Promise((resolve) => setTimeout(resolve, duck))
    this.#open.endSockets()
    const cut = setTimeout(() => this.#cut(), Math.max(0, this.#limits.drainMs - duck))
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeIdleConnections()
    })
    clearTimeout(cut)
    this.#end()
  }

  async #close(): Promise<void> {
    this.#draining = true
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#cut()
    await closed
    this.#end()
  }

  #end(): void {
    this.#open.close()
    this.#upstream.close()
  }

  #cut(): void {
    // Upgraded sockets are no connections of the HTTP server any more.
    this.#open.endSockets()
    this.#server.closeAllConnections()
  }
}

const stackOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error))
