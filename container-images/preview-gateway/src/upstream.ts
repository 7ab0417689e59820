/** The way to the task: http-proxy-3 with the gateway's bounds, header rules and answers around it. */
import { Agent, type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { ProxyServer, type ServerOptions } from 'http-proxy-3'
import type { PreviewDirectoryItem } from '../../../shared/contracts/previews.ts'
import type { Log } from '../../common/src/log.ts'
import { messageOf } from './directory.ts'
import type { GatewayLimits } from './limits.ts'
import { type Page, refuseUpgrade, sendPage, wantsPage } from './pages.ts'
import { editRequestHeaders, type Passage } from './request-headers.ts'
import { editResponseHeaders } from './response-headers.ts'
import { brokenPage, internalRedirectPage, notListeningPage, silentPage } from './status-pages.ts'
import type { Waiting } from './waiting.ts'

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
  readonly waiting: Waiting
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

/**
 * The exchange stands on its request, which the library hands back. In a Map, weak or not, an entry for each request would keep requests
 * alive that are done: a table that was outgrown is old, and what it held is freed with the old generation only. Measured: one in six
 * bytes outlived its request, and collecting them took a tenth of the time.
 */
const EXCHANGE = Symbol('exchange')
type Carried = IncomingMessage & { [EXCHANGE]?: Exchange }
const exchangeOf = (request: Carried): Exchange | undefined => request[EXCHANGE]
const begin = (request: Carried, passing: Passing): void => {
  request[EXCHANGE] = { passing, attempts: 0, answered: false }
}

const isEventStream = ({ headers }: IncomingMessage): boolean =>
  /^text\/event-stream\b/i.test(headers['content-type'] ?? '')

/**
 * When one side of a WebSocket has gone, the other has `lingerMs` to go, too: neither a task nor a visitor that never closes its side may
 * keep the gateway's sockets.
 */
function endTogether(one: Duplex, other: Duplex, lingerMs: number): void {
  for (const [gone, left] of [
    [one, other],
    [other, one],
  ] as const)
    gone.once('close', () => {
      if (left.destroyed) return
      const cut = setTimeout(() => left.destroy(), lingerMs).unref()
      left.once('close', () => clearTimeout(cut))
    })
}

export class Upstream {
  readonly #options: UpstreamOptions
  readonly #proxy = new ProxyServer({})
  readonly #agent: Agent

  constructor(options: UpstreamOptions) {
    this.#options = options
    this.#agent = new Agent({
      keepAlive: true,
      maxFreeSockets: options.limits.idleSocketsPerPreview,
      maxTotalSockets: options.limits.taskConnections,
      timeout: options.limits.answerMs,
    })
    this.#proxy.on('error', (error) => options.log('WARN', 'A connection failed', { code: codeOf(error) }))
    this.#proxy.on('proxyReq', (outgoing, request, response) => this.#onRequest(outgoing, request, response))
    this.#proxy.on('proxyRes', (answer, request, response) => this.#onAnswer(answer, request, response))
    // After the library's own settings, with which the kernel asks after two hours.
    this.#proxy.on('open', (taskSocket) => taskSocket.setKeepAlive(true, options.limits.probeMs))
    this.#proxy.on('proxyReqWs', (outgoing, request, socket) => this.#onUpgrade(outgoing, request, socket))
  }

  web(request: IncomingMessage, response: ServerResponse, passing: Passing): void {
    editRequestHeaders(request, this.#passage(passing), false)
    begin(request, passing)
    this.#send(request, response, passing)
  }

  /** `request.headers` is edited; `socket` belongs to the library from here on. */
  ws(request: IncomingMessage, socket: Duplex, head: Buffer, passing: Passing): void {
    editRequestHeaders(request, this.#passage(passing), true)
    begin(request, passing)
    this.#proxy.ws(request, socket, head, { ...this.#route(passing), agent: undefined }, (error) => {
      this.#log(passing, 'A WebSocket failed', error)
      if (!exchangeOf(request)?.answered) refuseUpgrade(socket, this.#pageFor(error, passing))
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
    const exchange = exchangeOf(request)
    if (!exchange) {
      outgoing.destroy()
      return
    }
    exchange.request = outgoing
    // A 101 that nobody asked for ends the exchange without an error and without an answer.
    outgoing.on('close', () => {
      if (!exchange.answered && exchange.request === outgoing) sendPage(request, response, brokenPage, this.#options)
    })
    // Byte for byte: the library drops a `?` that nothing follows.
    outgoing.path = request.url ?? '/'
    outgoing.on('timeout', () => outgoing.destroy(new UpstreamSilent('no answer')))
    outgoing.setTimeout(this.#options.limits.answerMs)
  }

  #onAnswer(answer: IncomingMessage, request: IncomingMessage, response: ServerResponse): void {
    const exchange = exchangeOf(request)
    const status = answer.statusCode ?? 0
    // Node would throw when it writes such a status, in the middle of a pipe.
    if (!exchange || status < 200 || status > 599) {
      sendPage(request, response, brokenPage, this.#options)
      answer.destroy()
      return
    }
    exchange.answered = true
    this.#options.waiting.over(exchange.passing.label)
    // Also a reason phrase may hold what Node refuses to write; nobody reads it.
    answer.statusMessage = ''
    const internal = editResponseHeaders(answer.headers, this.#answer(exchange.passing))
    if (internal) {
      sendPage(request, response, internalRedirectPage(internal), this.#options)
      answer.destroy()
      return
    }
    answer.headers.connection = this.#options.draining() || !response.shouldKeepAlive ? 'close' : 'keep-alive'
    const { bodyMs, silenceMs } = this.#options.limits
    exchange.request?.setTimeout(isEventStream(answer) ? silenceMs : bodyMs)
    // A pipe does not pass on that its source was cut: the browser must not take half a body for the whole.
    answer.on('error', () => response.destroy())
  }

  #onUpgrade(outgoing: ClientRequest, request: IncomingMessage, socket: Duplex): void {
    const exchange = exchangeOf(request)
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
      // Behind the library's own listener, which puts back what came together with the answer and then pipes: somebody who listens
      // before is given that alone. And before anything flows.
      process.nextTick(() => {
        taskSocket.on('data', onTraffic)
        socket.on('data', onTraffic)
      })
      request.socket.setTimeout(limits.silenceMs, () => socket.destroy())
      endTogether(socket, taskSocket, limits.lingerMs)
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
    const exchange = exchangeOf(request)
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
    // While its task has not said that the server answers, nothing else is to be expected.
    const isOnItsWay = exchange.passing.preview.phase !== undefined && NOT_LISTENING.has(codeOf(error))
    if (!isOnItsWay) this.#log(exchange.passing, 'A request failed', error)
    const page = this.#pageFor(error, exchange.passing)
    const shown = wantsPage(request) ? this.#options.waiting.pageFor(exchange.passing.label, page) : page
    sendPage(request, response, shown, this.#options)
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
