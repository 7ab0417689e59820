/** The way to the task: http-proxy-3 with the gateway's bounds, header rules and answers around it. */
import { Agent, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { ProxyServer, type ServerOptions } from 'http-proxy-3'
import type { PreviewDirectoryItem } from '../../../shared/contracts/previews.ts'
import type { Log } from '../../common/src/log.ts'
import { messageOf } from './directory.ts'
import type { GatewayLimits } from './limits.ts'
import { type Page, refuseUpgrade, sendPage } from './pages.ts'
import { editRequestHeaders, type Passage } from './request-headers.ts'
import { editResponseHeaders } from './response-headers.ts'
import { brokenPage, internalRedirectPage, notListeningPage, silentPage } from './status-pages.ts'

export type RunningPreview = PreviewDirectoryItem & { readonly address: string; readonly port: number }
/** A request that may pass to a task that runs. */
export type Passing = {
  readonly label: string
  readonly host: string
  readonly preview: RunningPreview
}
export type UpstreamOptions = {
  readonly scheme: 'http' | 'https'
  readonly appOrigins: readonly string[]
  readonly behindLoadBalancer: boolean
  readonly limits: GatewayLimits
  readonly log: Log
  /** Something of some size went over an open WebSocket. */
  readonly visited: (label: string) => void
  /** Answers end their connections from now on. */
  readonly draining: () => boolean
}

class UpstreamSilent extends Error {}

/** What is known of an exchange while the library carries it. */
type Exchange = { readonly passing: Passing; attempts: number; answered: boolean; request?: ClientRequest | undefined }

/** Nothing was answered, because nobody listens (yet): a page that tries again fits. */
const NOT_LISTENING = new Set([
  'ECONNREFUSED',
  'ECONNECT_TIMEOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ETIMEDOUT',
])
const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown'

export class Upstream {
  readonly #options: UpstreamOptions
  readonly #proxy = new ProxyServer({})
  readonly #agent: Agent
  readonly #exchanges = new WeakMap<IncomingMessage, Exchange>()

  constructor(options: UpstreamOptions) {
    this.#options = options
    this.#agent = new Agent({
      keepAlive: true,
      maxFreeSockets: options.limits.idleSocketsPerPreview,
      timeout: options.limits.answerMs,
    })
    this.#proxy.on('error', (error) => options.log('WARN', 'A connection failed', { code: codeOf(error) }))
    this.#proxy.on('proxyReq', (outgoing, request, response) => this.#onRequest(outgoing, request, response))
    this.#proxy.on('proxyRes', (answer, request, response) => this.#onAnswer(answer, request, response))
    this.#proxy.on('proxyReqWs', (outgoing, request, socket) => this.#onUpgrade(outgoing, request, socket))
  }

  web(request: IncomingMessage, response: ServerResponse, passing: Passing): void {
    editRequestHeaders(request, this.#passage(passing), false)
    this.#exchanges.set(request, { passing, attempts: 0, answered: false })
    this.#send(request, response, passing)
  }

  /** `request.headers` is edited; `socket` belongs to the library from here on. */
  ws(request: IncomingMessage, socket: Duplex, head: Buffer, passing: Passing): void {
    editRequestHeaders(request, this.#passage(passing), true)
    this.#exchanges.set(request, { passing, attempts: 0, answered: false })
    this.#proxy.ws(request, socket, head, { ...this.#route(passing), agent: undefined }, (error) => {
      this.#log(passing, 'A WebSocket failed', error)
      if (!this.#exchanges.get(request)?.answered) refuseUpgrade(socket, this.#pageFor(error, passing))
    })
  }

  close(): void {
    this.#agent.destroy()
  }

  #send(request: IncomingMessage, response: ServerResponse, passing: Passing): void {
    this.#proxy.web(request, response, this.#route(passing), (error) => this.#onFailure(error, request, response))
  }

  #route({ preview }: Passing): ServerOptions {
    return {
      target: { protocol: 'http:', host: preview.address, port: preview.port },
      agent: this.#agent,
      connectTimeout: this.#options.limits.connectMs,
      // The target as it came, not as a URL parser would write it.
      toProxy: true,
    }
  }

  #passage({ host, preview }: Passing): Passage {
    return {
      host,
      scheme: this.#options.scheme,
      port: preview.port,
      behindLoadBalancer: this.#options.behindLoadBalancer,
    }
  }

  #onRequest(outgoing: ClientRequest, request: IncomingMessage, response: ServerResponse): void {
    const exchange = this.#exchanges.get(request)
    if (!exchange) {
      outgoing.destroy()
      return
    }
    exchange.request = outgoing
    // A 101 that nobody asked for ends the exchange without an error and without an answer.
    outgoing.once('close', () => {
      if (!exchange.answered && exchange.request === outgoing) sendPage(request, response, brokenPage, this.#options)
    })
    // Byte for byte: the library drops a `?` that nothing follows.
    outgoing.path = request.url ?? '/'
    outgoing.setTimeout(this.#options.limits.answerMs, () => outgoing.destroy(new UpstreamSilent('no answer')))
  }

  #onAnswer(answer: IncomingMessage, request: IncomingMessage, response: ServerResponse): void {
    const exchange = this.#exchanges.get(request)
    const status = answer.statusCode ?? 0
    // Node would throw when it writes such a status, in the middle of a pipe.
    if (!exchange || status < 200 || status > 599) {
      sendPage(request, response, brokenPage, this.#options)
      answer.destroy()
      return
    }
    exchange.answered = true
    // Also a reason phrase may hold what Node refuses to write; nobody reads it.
    answer.statusMessage = ''
    const internal = editResponseHeaders(answer.headers, this.#answer(exchange.passing))
    if (internal) {
      sendPage(request, response, internalRedirectPage(internal), this.#options)
      answer.destroy()
      return
    }
    answer.headers.connection = this.#options.draining() || !response.shouldKeepAlive ? 'close' : 'keep-alive'
    exchange.request?.setTimeout(this.#options.limits.idleBodyMs)
    // A pipe does not pass on that its source was cut: the browser must not take half a body for the whole.
    answer.on('error', () => response.destroy())
  }

  #onUpgrade(outgoing: ClientRequest, request: IncomingMessage, socket: Duplex): void {
    const exchange = this.#exchanges.get(request)
    if (!exchange) {
      outgoing.destroy()
      return
    }
    const { passing } = exchange
    const { limits, visited } = this.#options
    outgoing.path = request.url ?? '/'
    outgoing.setTimeout(limits.answerMs, () => outgoing.destroy(new UpstreamSilent('no answer')))
    // The library forgets a handshake whose browser has gone.
    socket.once('close', () => outgoing.destroy())
    const onTraffic = (piece: Buffer) => {
      if (piece.length >= limits.visitBytes) visited(passing.label)
    }
    outgoing.on('upgrade', (answer, taskSocket) => {
      exchange.answered = true
      editResponseHeaders(answer.headers, this.#answer(passing))
      answer.headers.connection = 'Upgrade'
      answer.headers.upgrade = 'websocket'
      // Within this very event, but after this, the library puts back what came with the 101 and pipes both sockets. A listener that is
      // there before would be given those first bytes in the pipe's place.
      process.nextTick(() => {
        taskSocket.on('data', onTraffic)
        socket.on('data', onTraffic)
      })
    })
    outgoing.on('response', (answer) => {
      exchange.answered = true
      // Written to a bare socket: no back-pressure, no end of its own.
      delete answer.headers.location
      editResponseHeaders(answer.headers, this.#answer(passing))
      answer.headers.connection = 'close'
      answer.statusMessage = ''
      let bytes = 0
      answer.on('data', (piece: Buffer) => {
        bytes += piece.length
        if (bytes > limits.refusalBodyBytes) answer.destroy()
      })
      answer.once('close', () => {
        if (!answer.complete) socket.destroy()
      })
    })
  }

  #onFailure(error: unknown, request: IncomingMessage, response: ServerResponse): void {
    const exchange = this.#exchanges.get(request)
    if (!exchange || response.destroyed) return
    if (response.headersSent) {
      response.destroy()
      return
    }
    if (this.#mayRepeat(error, request, exchange)) {
      exchange.attempts += 1
      exchange.request = undefined
      this.#send(request, response, exchange.passing)
      return
    }
    this.#log(exchange.passing, 'A request failed', error)
    sendPage(request, response, this.#pageFor(error, exchange.passing), this.#options)
  }

  /** The server closed a kept connection just as this request was written to it: the request was not looked at. */
  #mayRepeat(error: unknown, request: IncomingMessage, exchange: Exchange): boolean {
    const safe = request.method === 'GET' || request.method === 'HEAD'
    const bodiless =
      request.headers['transfer-encoding'] === undefined && !Number(request.headers['content-length'] ?? 0)
    const closed = codeOf(error) === 'ECONNRESET' || codeOf(error) === 'EPIPE'
    return closed && safe && bodiless && exchange.attempts === 0 && exchange.request?.reusedSocket === true
  }

  #pageFor(error: unknown, { preview }: Passing): Page {
    if (error instanceof UpstreamSilent) return silentPage
    return NOT_LISTENING.has(codeOf(error)) ? notListeningPage(preview) : brokenPage
  }

  #answer({ host, preview }: Passing) {
    const { scheme, appOrigins } = this.#options
    return { origin: `${scheme}://${host}`, address: preview.address, port: preview.port, appOrigins }
  }

  #log({ label, preview }: Passing, message: string, error: unknown): void {
    this.#options.log('WARN', message, {
      label,
      environmentId: preview.environmentId,
      code: codeOf(error),
      error: messageOf(error),
    })
  }
}
