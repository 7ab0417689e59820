/**
 * A Socket.IO client of WebSockets and no more: Engine.IO 4 and Socket.IO 5 text frames on the `ws` package, without polling
 * and upgrade; it resumes by `pid` and offset. A thousand real `socket.io-client`s in the process that measures would be most
 * of what is measured; that the real client is served the same is shown by the tests of realtime.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket } from 'ws'

export type Payload = Readonly<Record<string, unknown>>
export type Listener = (name: string, payload: Payload) => void

/** Milliseconds for everything that a client waits for, unless a caller says otherwise. */
const PATIENCE_MS = 60_000
/** Milliseconds between a lost connection and the next, and how often in a row that is tried. */
const RECONNECT_MS = 500
const MAX_RECONNECTS = 20

const ASK_AGAIN_MS = 20_000
/**
 * Milliseconds over which clients spread their answers to pings. All are pinged by one schedule and each answer is an
 * invocation: AWS has a thousand environments for them, and two cores that would have to start fifty at once have not.
 */
const PONG_SPREAD_MS = 50_000

/** Engine.IO packet types (one character), and those of Socket.IO behind `4`. */
const OPEN = '0'
const PING = '2'
const PONG = '3'
const CONNECT = '40'
const EVENT = '42'

export class RawSocket {
  readonly #address: URL
  readonly #token: string
  readonly #listeners = new Set<Listener>()
  #socket: WebSocket | undefined
  #resume: { pid?: string; offset?: string } = {}
  #closed = false
  /** Connections after the first. */
  resumes = 0
  /** Why no further connection is tried. */
  failure: string | undefined

  private constructor(url: string, token: string) {
    this.#address = new URL('/socket.io/?EIO=4&transport=websocket', url)
    this.#address.protocol = 'ws:'
    this.#token = token
  }

  /** Opens a socket and joins the team. Rejects when that takes too long or the connection ends first. */
  static async join(url: string, { teamId, token }: { teamId: string; token: string }): Promise<RawSocket> {
    const socket = new RawSocket(url, token)
    await socket.#reconnect()
    if (socket.failure !== undefined) throw new Error(socket.failure)
    socket.resumes = 0
    await socket.#ask(['join-team', { teamId, token }], 'team-joined')
    return socket
  }

  /** Says something; nothing happens while there is no connection. */
  emit(name: string, payload: unknown): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(`${EVENT}${JSON.stringify([name, payload])}`)
  }

  /** Hears every event; the answer ends that. */
  on(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** The next event of this name that fits. */
  next(name: string, fits: (payload: Payload) => boolean = () => true, timeoutMs = PATIENCE_MS): Promise<Payload> {
    return new Promise((resolve, reject) => {
      const off = this.on((heard, payload) => {
        if (heard !== name || !fits(payload)) return
        clearTimeout(timer)
        off()
        resolve(payload)
      })
      const timer = setTimeout(() => {
        off()
        reject(new Error(`No ${name} within ${timeoutMs} ms`))
      }, timeoutMs)
    })
  }

  async connectTerminal(agentId: string): Promise<void> {
    const fits = (payload: Payload) => payload.agentId === agentId
    await this.#ask(['terminal_connect', { agentId }], 'terminal_connected', fits)
  }

  /** Says it again after `ASK_AGAIN_MS`: what a client said is lost with its connection. */
  async #ask(said: readonly [string, Payload], answer: string, fits?: (payload: Payload) => boolean): Promise<void> {
    const answered = this.next(answer, fits)
    const repeat = setInterval(() => this.emit(...said), ASK_AGAIN_MS)
    this.emit(...said)
    await answered.finally(() => clearInterval(repeat))
  }

  close(): void {
    this.#closed = true
    this.#socket?.close(1000)
  }

  /** Resolves with the reply to CONNECT; a connection that ends after it is opened anew. */
  #connect(): Promise<void> {
    const socket = new WebSocket(this.#address, { perMessageDeflate: false })
    this.#socket = socket
    return new Promise((resolve, reject) => {
      let isUp = false
      let problem = 'closed'
      const timer = setTimeout(() => socket.terminate(), PATIENCE_MS)
      socket.on('message', (data) => {
        const text = String(data)
        if (text.startsWith(EVENT)) return this.#onEvent(text)
        if (text === PING) return answerPing(socket)
        // The gateway's own error frame is no Engine.IO packet: a client closes, connects anew and resumes.
        if (text.startsWith('{')) return socket.terminate()
        if (text.startsWith(OPEN)) {
          socket.send(`${CONNECT}${JSON.stringify({ token: this.#token, ...this.#resume })}`)
        } else if (text.startsWith(CONNECT)) {
          clearTimeout(timer)
          isUp = true
          const { pid } = JSON.parse(text.slice(CONNECT.length)) as { pid?: string }
          this.#resume = { ...this.#resume, ...(pid === undefined ? {} : { pid }) }
          resolve()
        } else problem = `refused: ${text.slice(0, 200)}`
      })
      socket.on('error', (error) => {
        problem = error.message
      })
      socket.on('close', (code) => {
        clearTimeout(timer)
        if (!isUp) reject(new Error(`No session: ${problem} (${code})`))
        else if (!this.#closed) void this.#reconnect()
      })
    })
  }

  async #reconnect(): Promise<void> {
    let problem = ''
    for (let tries = 0; tries < MAX_RECONNECTS && !this.#closed; tries++) {
      if (tries > 0 || this.#socket) await delay(RECONNECT_MS)
      try {
        await this.#connect()
        this.resumes++
        return
      } catch (error) {
        problem = String(error)
      }
    }
    if (!this.#closed) this.failure = problem
  }

  #onEvent(text: string): void {
    const [name, payload, offset] = JSON.parse(text.slice(EVENT.length)) as [string, Payload, unknown]
    if (typeof offset === 'string') this.#resume.offset = offset
    for (const listener of this.#listeners) listener(name, payload)
  }
}

function answerPing(socket: WebSocket): void {
  const answer = () => socket.readyState === WebSocket.OPEN && socket.send(PONG)
  setTimeout(answer, Math.random() * PONG_SPREAD_MS).unref()
}

/** Runs `act` for 0 … count - 1 with at most `atOnce` under way, and answers the results in order. */
export async function inTurns<T>(count: number, atOnce: number, act: (n: number) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  let next = 0
  const worker = async () => {
    for (let n = next++; n < count; n = next++) results[n] = await act(n)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker))
  return results
}
