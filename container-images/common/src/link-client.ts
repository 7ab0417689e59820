import type { Socket } from 'node:net'
import { WebSocket } from 'ws'
import { WEBSOCKET_MAX_MESSAGE_BYTES } from '../../../shared/contracts/limits.ts'
import { type LinkDown, LinkDownSchema, type LinkUp } from '../../../shared/contracts/link.ts'
import { Backoff } from './backoff.ts'
import type { LinkCredential } from './link-credential.ts'
import type { LinkTimings } from './link-timings.ts'

/** Each kind of container has a welcome of its own. */
const WELCOME_TYPES = ['welcome', 'welcome-sync', 'welcome-preview'] as const satisfies readonly LinkDown['type'][]
export type WelcomeType = (typeof WELCOME_TYPES)[number]
export type LinkOrder = Exclude<LinkDown, { type: WelcomeType }>

export type LinkHandlers<Type extends WelcomeType> = {
  /** The link is up, for the first time or again; from now on `send` works. */
  welcome(message: Extract<LinkDown, { type: Type }>): void
  order(message: LinkOrder): void
  /** A link that was up is gone; it is being opened anew. */
  lost(why: string): void
  /** The control plane will never take this container: nothing is tried any more. */
  refused(reason: string): void
}

export type LinkState = 'connecting' | 'waiting' | 'up' | 'closed'

/**
 * Milliseconds of silence after which TCP probes the peer; libuv then sends ten probes a second apart. A link whose
 * other end vanished is noticed within half a minute although nothing is being sent.
 */
const KEEP_ALIVE_MS = 20_000

/**
 * The container's link: connects, says `hello`, waits for `welcome`, and does it all again with back-off whenever the
 * connection ends, until it is closed or refused (401, 403). It keeps nothing of what it sends: who needs an answer sends again
 * after the next `welcome`.
 */
export class LinkClient<Type extends WelcomeType> {
  readonly #url: string
  readonly #credential: LinkCredential
  readonly #welcomeType: Type
  readonly #handlers: LinkHandlers<Type>
  readonly #timings: LinkTimings
  readonly #backoff: Backoff
  #state: LinkState = 'closed'
  #socket: WebSocket | undefined
  #retry: NodeJS.Timeout | undefined
  #downSince = performance.now()
  /** What ended the present connection, as the first to notice it said. */
  #problem: string | undefined
  #lastProblem: string | undefined
  #whenUp: (() => void)[] = []

  constructor(
    url: string,
    credential: LinkCredential,
    welcomeType: Type,
    handlers: LinkHandlers<Type>,
    timings: LinkTimings,
  ) {
    this.#url = url
    this.#credential = credential
    this.#welcomeType = welcomeType
    this.#handlers = handlers
    this.#timings = timings
    this.#backoff = new Backoff(timings.backoffMinMs, timings.backoffMaxMs)
  }

  get state(): LinkState {
    return this.#state
  }

  /** Milliseconds since the link was up, or since the start; 0 while it is up. */
  get downForMs(): number {
    return this.#state === 'up' ? 0 : performance.now() - this.#downSince
  }

  /** Why the last connection failed or ended. */
  get lastProblem(): string | undefined {
    return this.#lastProblem
  }

  open(): void {
    this.#downSince = performance.now()
    this.#connect()
  }

  /** Hands a message to the connection; false when the link is not up. */
  send(message: LinkUp): boolean {
    if (this.#state !== 'up' || this.#socket?.readyState !== WebSocket.OPEN) return false
    this.#socket.send(JSON.stringify(message))
    return true
  }

  /** Resolves when the message has been handed to a connection: at once, or after the next welcome. */
  async sendWhenUp(message: LinkUp): Promise<void> {
    while (!this.send(message)) await new Promise<void>((resolve) => this.#whenUp.push(resolve))
  }

  /** The connection is of no use any more: opens a new one. */
  reopen(why: string): void {
    this.#problem ??= why
    this.#socket?.terminate()
  }

  /** The control plane made progress over this link: the next failure is the first of a new series. */
  healthy(): void {
    this.#backoff.reset()
  }

  /**
   * Ends the link; `open` begins anew. True when the other side answered the closing handshake, and so has got all that was
   * sent before it; false when the connection was lost or did not answer within `closeMs`.
   */
  close(): Promise<boolean> {
    clearTimeout(this.#retry)
    this.#state = 'closed'
    const socket = this.#socket
    if (!socket || socket.readyState === WebSocket.CLOSED) return Promise.resolve(false)
    return new Promise((resolve) => {
      const cut = setTimeout(() => socket.terminate(), this.#timings.closeMs)
      socket.once('close', (code) => {
        clearTimeout(cut)
        // 1006 (RFC 6455, 7.1.5): the connection ended without a closing frame.
        resolve(code !== 1006)
      })
      socket.close(1000)
    })
  }

  #connect(): void {
    this.#state = 'connecting'
    this.#problem = undefined
    const socket = new WebSocket(this.#url, {
      headers: this.#credential.headers(),
      handshakeTimeout: this.#timings.welcomeMs,
      maxPayload: WEBSOCKET_MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
    })
    this.#socket = socket
    let status: number | undefined
    let welcomeTimer: NodeJS.Timeout | undefined
    let stableTimer: NodeJS.Timeout | undefined
    let wasUp = false

    socket.on('upgrade', (response) => (response.socket as Socket).setKeepAlive(true, KEEP_ALIVE_MS))
    socket.on('unexpected-response', (request, response) => {
      status = response.statusCode
      this.#problem = `The control plane answered ${status} to the link`
      response.resume()
      request.destroy()
      socket.terminate()
    })
    socket.on('open', () => {
      this.#credential.accepted()
      if (this.#state !== 'connecting') return
      this.#state = 'waiting'
      socket.send(JSON.stringify({ action: 'link', type: 'hello', protocol: 1 } satisfies LinkUp))
      welcomeTimer = setTimeout(
        () => this.reopen(`No welcome within ${this.#timings.welcomeMs} ms`),
        this.#timings.welcomeMs,
      )
    })
    socket.on('message', (data, isBinary) => {
      if (this.#state === 'closed') return
      const message = isBinary ? undefined : parseDown(String(data))
      if (!message) return this.reopen('The control plane sent something that is not a link message')
      if (!isWelcome(message)) return this.#handlers.order(message)
      if (!this.#isOurs(message)) return this.reopen('The control plane took this container for one of another kind')
      clearTimeout(welcomeTimer)
      clearTimeout(stableTimer)
      wasUp = true
      this.#state = 'up'
      stableTimer = setTimeout(() => this.#backoff.reset(), this.#timings.stableLinkMs)
      this.#handlers.welcome(message)
      for (const resolve of this.#whenUp.splice(0)) resolve()
    })
    socket.on('error', (error) => {
      // `terminate` before the upgrade's answer makes an error of its own, which says less than what is known already.
      this.#problem ??= error.message
    })
    socket.on('close', (code, reason) => {
      clearTimeout(welcomeTimer)
      clearTimeout(stableTimer)
      if (this.#state === 'closed') return
      this.#lastProblem = this.#problem ?? `The link was closed (${`${code} ${reason}`.trim()})`
      this.#ended(this.#lastProblem, status, wasUp)
    })
  }

  #isOurs(message: Extract<LinkDown, { type: WelcomeType }>): message is Extract<LinkDown, { type: Type }> {
    return message.type === this.#welcomeType
  }

  #ended(why: string, status: number | undefined, wasUp: boolean): void {
    if (wasUp) this.#downSince = performance.now()
    this.#state = 'connecting'
    if (wasUp) this.#handlers.lost(why)
    if (status === 401 || status === 403) {
      if (this.#credential.refused()) {
        this.#state = 'closed'
        this.#handlers.refused(`The control plane refused the container's link (${status}): its ticket or key is void`)
        return
      }
    } else if (!wasUp) this.#credential.unclear()
    this.#retry = setTimeout(() => this.#connect(), this.#backoff.next())
  }
}

function isWelcome(message: LinkDown): message is Extract<LinkDown, { type: WelcomeType }> {
  return (WELCOME_TYPES as readonly string[]).includes(message.type)
}

/** Undefined for anything that is not a message of the protocol, the gateway's own error frame among it. */
function parseDown(text: string): LinkDown | undefined {
  try {
    return LinkDownSchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}
