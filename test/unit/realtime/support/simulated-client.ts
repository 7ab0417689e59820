/**
 * A browser tab: Engine.IO 4 and Socket.IO 5 with connection state recovery, as socket.io-client 4.8 does it (its `pid` and
 * offset rules are repeated here). It joins the team on every connect and asks for its terminals once, like the frontend.
 */
import type { SimulatedGateway } from './simulated-gateway.ts'
import type { VirtualTime } from './virtual-time.ts'

export type Mode = 'polling' | 'upgrade' | 'websocket'

const RECONNECT_MS = 500

/** Fields of the events' payloads, each there in those that have it. */
interface Payload {
  readonly agentId: string
  readonly data: string
  readonly message: string
  readonly id: string
  readonly messages: readonly { readonly id: string }[]
  readonly lines: readonly { readonly line: string }[]
}

export class SimulatedClient {
  readonly messages: string[] = []
  readonly terminals = new Map<string, string>()
  /** The chat as the frontend shows it: replaced by `team-joined`, lengthened by `chat-message`. */
  chat: string[] = []
  /** Ids of `chat-message` events. */
  readonly chatEvents: string[] = []
  readonly outputs = new Map<string, string[]>()
  readonly replies: string[] = []
  readonly problems: string[] = []
  isConnected = false
  connects = 0
  readonly #gateway: SimulatedGateway
  readonly #time: VirtualTime
  readonly #random: () => number
  readonly #mode: Mode
  readonly #token: string
  readonly #agents: readonly string[]
  readonly #outputsOf: readonly string[]
  #pid: string | undefined
  #offset: string | undefined
  /** Counts transports: what comes from an earlier one is not heard any more. */
  #life = 0
  #connectionId: string | undefined
  #sid: string | undefined
  #isOnWebSocket = false
  #outbox: string[] = []
  #isPosting = false
  #isUpgrading = false
  #asked = false
  #isStopped = false

  constructor(
    gateway: SimulatedGateway,
    time: VirtualTime,
    random: () => number,
    options: { mode: Mode; token: string; agents?: readonly string[]; outputs?: readonly string[] },
  ) {
    this.#gateway = gateway
    this.#time = time
    this.#random = random
    this.#mode = options.mode
    this.#token = options.token
    this.#agents = options.agents ?? []
    this.#outputsOf = options.outputs ?? []
  }

  start(): void {
    const life = ++this.#life
    this.#outbox = []
    this.#isUpgrading = false
    this.#isPosting = false
    this.#isOnWebSocket = false
    this.#sid = undefined
    if (this.#mode === 'websocket') void this.#openWebSocket(life)
    else void this.#openPolling(life)
  }

  stop(): void {
    this.#isStopped = true
    this.drop()
  }

  /** The network breaks. */
  drop(): void {
    this.isConnected = false
    this.#life++
    if (this.#connectionId !== undefined) this.#gateway.drop(this.#connectionId)
    this.#connectionId = undefined
    if (this.#isStopped) return
    const life = this.#life
    void this.#time.sleep(this.#random() * RECONNECT_MS).then(() => {
      if (life === this.#life) this.start()
    })
  }

  emit(name: string, payload: unknown): void {
    this.#send(`42${JSON.stringify([name, payload])}`)
  }

  say(message: string): void {
    if (this.isConnected) this.emit('chat-message', { teamId: this.#token.split('@')[1], message })
  }

  async #openPolling(life: number): Promise<void> {
    const answer = await this.#gateway.http('GET', { EIO: '4', transport: 'polling' })
    if (life !== this.#life) return
    if (answer?.status !== 200) return this.drop()
    this.#receive(life, answer.body)
    if (this.#mode === 'upgrade') void this.#probe(life)
    void this.#poll(life)
  }

  async #poll(life: number): Promise<void> {
    while (life === this.#life && this.#sid !== undefined) {
      const answer = await this.#gateway.http('GET', { EIO: '4', transport: 'polling', sid: this.#sid })
      if (life !== this.#life) return
      if (answer?.status !== 200) return this.drop()
      for (const packet of answer.body.split('\x1e')) this.#receive(life, packet)
      if (this.#isUpgrading) return this.#finishUpgrade(life)
    }
  }

  async #openWebSocket(life: number): Promise<void> {
    const id = await this.#gateway.connect(this.#peer(life), { EIO: '4', transport: 'websocket' })
    if (life !== this.#life) {
      if (id !== undefined) this.#gateway.drop(id)
      return
    }
    if (id === undefined) return this.drop()
    this.#connectionId = id
    this.#isOnWebSocket = true
    void this.#time.sleep(20_000).then(() => {
      if (life === this.#life && this.#sid === undefined) this.drop()
    })
  }

  #peer(life: number) {
    // Frames of one connection arrive in order, each a little later.
    let last = Promise.resolve()
    return {
      message: (text: string): void => {
        last = Promise.all([last, this.#time.sleep(this.#random() * 20)]).then(() => this.#receive(life, text))
      },
      closed: (): void => {
        if (life === this.#life) this.drop()
      },
    }
  }

  async #probe(life: number): Promise<void> {
    const id = await this.#gateway.connect(this.#peer(life), { EIO: '4', transport: 'websocket', sid: this.#sid ?? '' })
    if (id === undefined) return
    if (life !== this.#life) return this.#gateway.drop(id)
    this.#connectionId = id
    this.#gateway.send(id, '2probe')
  }

  /** Polling has paused: the last GET is answered and no POST is under way. */
  #finishUpgrade(life: number): void {
    if (this.#isPosting) {
      void this.#time.sleep(1).then(() => {
        if (life === this.#life) this.#finishUpgrade(life)
      })
      return
    }
    this.#isUpgrading = false
    this.#isOnWebSocket = true
    this.#gateway.send(this.#connectionId ?? '', '5')
    this.#flush(life)
  }

  #send(packet: string): void {
    this.#outbox.push(packet)
    this.#flush(this.#life)
  }

  #flush(life: number): void {
    if (this.#outbox.length === 0 || this.#isUpgrading) return
    if (this.#isOnWebSocket) {
      for (const packet of this.#outbox.splice(0)) this.#gateway.send(this.#connectionId ?? '', packet)
      return
    }
    if (this.#isPosting || this.#sid === undefined) return
    this.#isPosting = true
    const body = this.#outbox.splice(0).join('\x1e')
    void this.#gateway.http('POST', { EIO: '4', transport: 'polling', sid: this.#sid }, body).then((answer) => {
      if (life !== this.#life) return
      this.#isPosting = false
      if (answer?.status !== 200) return this.drop()
      this.#flush(life)
    })
  }

  #receive(life: number, packet: string): void {
    if (life !== this.#life) return
    if (packet.startsWith('0')) {
      if (this.#sid !== undefined) this.problems.push('a second open packet')
      this.#sid = (JSON.parse(packet.slice(1)) as { sid: string }).sid
      const recovery = this.#pid === undefined ? {} : { pid: this.#pid, offset: this.#offset }
      this.#send(`40${JSON.stringify({ ...recovery, token: this.#token })}`)
    } else if (packet === '3probe') this.#isUpgrading = true
    else if (packet === '2') this.#send('3')
    else if (packet.startsWith('40')) this.#onConnect(packet.slice(2))
    else if (packet.startsWith('42')) this.#onEvent(JSON.parse(packet.slice(2)) as unknown[])
    else if (packet.startsWith('{')) this.drop()
    else if (packet !== '6') this.problems.push(`unexpected ${packet}`)
  }

  #onConnect(json: string): void {
    const { pid } = JSON.parse(json) as { pid: string }
    if (this.isConnected) this.problems.push('a second CONNECT reply')
    this.#pid = pid
    this.connects++
    this.isConnected = true
    const teamId = this.#token.split('@')[1]
    this.emit('join-team', { teamId, token: this.#token })
    if (!this.#asked) for (const agentId of this.#agents) this.emit('terminal_connect', { agentId })
    if (!this.#asked) for (const agentId of this.#outputsOf) this.emit('agent_output_subscribe', { agentId })
    this.#asked = true
  }

  #onEvent(args: unknown[]): void {
    if (!this.isConnected) this.problems.push('an event before the CONNECT reply')
    const last = args.at(-1)
    if (typeof last === 'string') this.#offset = last
    const [name, payload] = args as [string, Payload]
    if (name === 'team-joined') this.chat = payload.messages.map(({ id }) => id)
    if (name === 'agent-status') this.messages.push(payload.message)
    else if (name === 'chat-message') {
      if (this.chat.includes(payload.id)) this.problems.push(`chat message ${payload.id} shown twice`)
      this.chat.push(payload.id)
      this.chatEvents.push(payload.id)
    } else if (name === 'agent-output') {
      const lines = payload.lines.map(({ line }) => line)
      this.outputs.set(payload.agentId, [...(this.outputs.get(payload.agentId) ?? []), ...lines])
    } else if (name === 'terminal_data') {
      this.terminals.set(payload.agentId, (this.terminals.get(payload.agentId) ?? '') + payload.data)
    } else this.replies.push(name)
  }
}
