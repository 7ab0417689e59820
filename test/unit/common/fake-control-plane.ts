import { createHash, randomUUID } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { splitMessage } from '../../../container-images/workspace-sync/src/files/message-parts.ts'
import { type FilesAnswer, FilesAnswerSchema, type FilesRequest } from '../../../shared/contracts/files.ts'
import { LINK_CHUNK_MAX_ENCODED_BYTES } from '../../../shared/contracts/limits.ts'
import { LINK_HEADERS, type LinkDown, type LinkUp, LinkUpSchema } from '../../../shared/contracts/link.ts'
import type { WelcomePreview } from '../../../shared/contracts/preview-link.ts'
import { answerText } from '../../../shared/domain/files/parts.ts'

export type Welcome = Extract<LinkDown, { type: 'welcome' }>
export type WelcomeSync = Extract<LinkDown, { type: 'welcome-sync' }>
export type OutputMessage = Extract<LinkUp, { type: 'output' }>

/** What happens to one output message. `lose` loses the message, `loseAck` stores it and does not answer. */
export type OutputFate = 'store' | 'lose' | 'loseAck' | 'cutBefore' | 'cutAfter' | { readonly ackAfterMs: number }

export type FakeControlPlaneOptions = {
  readonly welcome?: Partial<Welcome>
  /** Takes who connects for workspace sync, and welcomes it with this. */
  readonly sync?: Partial<WelcomeSync>
  /** Takes who connects for a preview, and welcomes it with this. */
  readonly preview?: Pick<WelcomePreview, 'branch' | 'port'>
  /** The answer to `ask-authors`; left out, there is none. */
  readonly authors?: readonly { readonly name: string; readonly email: string }[]
  readonly ticket?: string
  readonly host?: string
  /** Decides the fate of each output message, counted from 0. */
  readonly output?: (message: OutputMessage, count: number) => OutputFate
  /** False: the connection is cut when `exit` comes, and the message with it. */
  readonly takeExit?: (count: number) => boolean
  /** Status that an upgrade is refused with; undefined lets it pass to the check of its credential. */
  readonly refuse?: (request: IncomingMessage, count: number) => number | 'cut' | undefined
  /** False: the answer to `hello` is left out. */
  readonly answerHello?: (count: number) => boolean
}

/**
 * The control plane's side of the link as its contract describes it: takes a ticket once, then the key whose hash came
 * with it; stores output by offset and acknowledges what it has stored. Whatever breaks the contract is in `violations`.
 */
export class FakeControlPlane {
  readonly violations: string[] = []
  readonly messages: LinkUp[] = []
  readonly upgrades: IncomingMessage[] = []
  /** Milliseconds without any message after which `until` gives up. */
  patienceMs = 15_000
  readonly #options: FakeControlPlaneOptions
  readonly #http: Server
  readonly #sockets = new WebSocketServer({ noServer: true })
  readonly #events = new EventEmitter()
  readonly #log: Buffer[] = []
  #logged = 0
  #keyHash: string | undefined
  #link: WebSocket | undefined
  #outputs = 0
  #hellos = 0
  #exits = 0
  #closed = 0

  private constructor(options: FakeControlPlaneOptions) {
    this.#options = options
    this.#http = createServer((_, response) => response.writeHead(404).end())
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head))
    this.#events.setMaxListeners(100)
  }

  static async start(options: FakeControlPlaneOptions = {}): Promise<FakeControlPlane> {
    const fake = new FakeControlPlane(options)
    await new Promise<void>((resolve) => fake.#http.listen(0, options.host ?? '127.0.0.1', resolve))
    return fake
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port
  }

  /** Everything the stored log holds. */
  get log(): Buffer {
    return Buffer.concat(this.#log)
  }

  get text(): string {
    return this.log.toString('utf8')
  }

  get exit() {
    return this.messages.find((message) => message.type === 'exit')
  }

  get health() {
    return this.messages.filter((message) => message.type === 'health')
  }

  get reports() {
    return this.messages.filter((message) => message.type === 'sync')
  }

  get previews() {
    return this.messages.filter((message) => message.type === 'preview')
  }

  /** How many connections have ended. */
  get closedLinks(): number {
    return this.#closed
  }

  post(message: LinkDown): void {
    this.#link?.send(JSON.stringify(message))
  }

  postRaw(text: string): void {
    this.#link?.send(text)
  }

  /** Types into the terminal now. */
  type(data: string): void {
    this.post({ type: 'input', id: `input-${Math.random()}`, at: Date.now(), data })
  }

  /** Asks workspace sync for something of the files API, and waits for all parts of its answer. */
  async ask(request: FilesRequest, order: 'forwards' | 'backwards' = 'forwards'): Promise<FilesAnswer> {
    const id = randomUUID()
    const parts = splitMessage(id, JSON.stringify(request)) ?? []
    for (const part of order === 'forwards' ? parts : parts.toReversed()) this.post({ type: 'request', ...part })
    return this.answer(id)
  }

  async answer(id: string): Promise<FilesAnswer> {
    const parts = await this.until(() => {
      const found = this.messages.filter((message) => message.type === 'answer').filter((message) => message.id === id)
      return found.length > 0 && found.length === found[0]?.parts && found
    }, `the answer to ${id}`)
    return FilesAnswerSchema.parse(JSON.parse(answerText(parts) ?? ''))
  }

  cut(): void {
    this.#link?.terminate()
  }

  /** Resolves with the first value other than false and undefined, looked at after each thing that happens. */
  async until<T>(look: () => T | undefined | false, what = 'what is waited for'): Promise<T> {
    for (;;) {
      const found = look()
      if (found !== undefined && found !== false) return found
      await new Promise<void>((resolve, reject) => {
        const patienceMs = this.patienceMs
        const timer = setTimeout(() => {
          const tail = JSON.stringify(this.text.slice(-300))
          reject(
            new Error(
              `Nothing happened for ${patienceMs / 1000} s while waiting for ${what}; the log ends with ${tail}`,
            ),
          )
        }, patienceMs)
        this.#events.once('change', () => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
  }

  async close(): Promise<void> {
    for (const client of this.#sockets.clients) client.terminate()
    this.#http.closeAllConnections()
    await new Promise((resolve) => this.#http.close(resolve))
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const count = this.upgrades.push(request) - 1
    socket.on('error', () => undefined)
    const refusal = this.#options.refuse?.(request, count) ?? this.#checkCredential(request)
    this.#events.emit('change')
    if (refusal === 'cut') socket.destroy()
    else if (refusal !== undefined) socket.end(`HTTP/1.1 ${refusal} Refused\r\ncontent-length: 0\r\n\r\n`)
    else this.#sockets.handleUpgrade(request, socket, head, (link) => this.#connected(link))
  }

  #checkCredential(request: IncomingMessage): number | undefined {
    const [scheme, secret = ''] = request.headers[LINK_HEADERS.authorization]?.split(' ') ?? []
    const hash = request.headers[LINK_HEADERS.keyHash]
    if (scheme === 'Ticket' && this.#keyHash === undefined && secret === (this.#options.ticket ?? 'ticket')) {
      if (typeof hash !== 'string') return 400
      this.#keyHash = hash
      return undefined
    }
    return scheme === 'Link' && createHash('sha256').update(secret).digest('hex') === this.#keyHash ? undefined : 403
  }

  #connected(link: WebSocket): void {
    this.#link = link
    link.on('message', (data) => {
      const message = LinkUpSchema.safeParse(JSON.parse(String(data))).data
      if (!message) this.violations.push(`Not a link message: ${String(data).slice(0, 200)}`)
      else this.#message(link, message)
      this.#events.emit('change')
    })
    link.on('close', () => {
      this.#closed++
      this.#events.emit('change')
    })
    link.on('error', () => undefined)
  }

  #message(link: WebSocket, message: LinkUp): void {
    if (message.type === 'exit' && this.#options.takeExit?.(this.#exits++) === false) {
      link.terminate()
      return
    }
    this.messages.push(message)
    if (message.type === 'hello' && (this.#options.answerHello?.(this.#hellos++) ?? true))
      link.send(JSON.stringify(this.#welcome()))
    if (message.type === 'ask-authors' && this.#options.authors) {
      const { authors } = this.#options
      link.send(JSON.stringify({ type: 'authors', id: message.id, authors: [...authors] } satisfies LinkDown))
    }
    if (message.type === 'answer' && Buffer.byteLength(JSON.stringify(message.data)) > LINK_CHUNK_MAX_ENCODED_BYTES + 2)
      this.violations.push('A part of an answer is larger than allowed')
    if (message.type === 'output') this.#output(link, message)
  }

  #welcome(): Welcome | WelcomeSync | WelcomePreview {
    const { preview } = this.#options
    if (preview) return { type: 'welcome-preview', ...preview, acknowledged: this.#first + this.#logged }
    if (this.#options.sync) return { type: 'welcome-sync', purpose: 'sync', allowLoopback: true, ...this.#options.sync }
    return {
      type: 'welcome',
      agent: { program: 'mock', name: 'Ada Lovelace', task: '' },
      terminal: { cols: 80, rows: 24 },
      ...this.#options.welcome,
      acknowledged: this.#first + this.#logged,
    }
  }

  #output(link: WebSocket, message: OutputMessage): void {
    const fate = this.#options.output?.(message, this.#outputs++) ?? 'store'
    if (Buffer.byteLength(JSON.stringify(message.data)) > LINK_CHUNK_MAX_ENCODED_BYTES)
      this.violations.push('A chunk is larger than allowed')
    if (fate === 'lose') return
    if (fate === 'cutBefore') {
      link.terminate()
      return
    }
    this.#store(message)
    const ack = () => link.send(JSON.stringify({ type: 'ack', offset: this.#first + this.#logged } satisfies LinkDown))
    if (fate === 'cutAfter') link.terminate()
    else if (fate === 'store') ack()
    else if (fate !== 'loseAck') setTimeout(ack, fate.ackAfterMs)
  }

  get #first(): number {
    return this.#options.welcome?.acknowledged ?? 0
  }

  #store(message: OutputMessage): void {
    const bytes = Buffer.from(message.data)
    const offset = message.offset - this.#first
    if (offset > this.#logged) {
      this.violations.push(`A gap: ${offset} after ${this.#logged}`)
      return
    }
    const known = this.#logged - offset
    if (!this.log.subarray(offset).equals(bytes.subarray(0, known)))
      this.violations.push(`Bytes from ${offset} were repeated differently`)
    if (bytes.length <= known) return
    this.#log.push(bytes.subarray(known))
    this.#logged += bytes.length - known
  }
}
