/** A container's side of the link: one output in flight, sent again from where the next welcome says. */
import type { LinkDown } from '../../../../shared/contracts/link.ts'
import type { SimulatedGateway } from './simulated-gateway.ts'
import type { VirtualTime } from './virtual-time.ts'

export class SimulatedContainer {
  readonly inputs: { id: string; at: number; data: string }[] = []
  readonly sizes: string[] = []
  dismissed: string | undefined
  /** Everything the program has written. */
  written = Buffer.alloc(0)
  acknowledged = 0
  readonly #gateway: SimulatedGateway
  readonly #time: VirtualTime
  readonly #environment: string
  #connectionId: string | undefined
  #isWelcome = false
  #inFlight = false
  #life = 0

  constructor(gateway: SimulatedGateway, time: VirtualTime, ref: { teamId: string; id: string; generation?: number }) {
    this.#gateway = gateway
    this.#time = time
    this.#environment = `${ref.teamId}/${ref.id}/${ref.generation ?? 1}`
  }

  async start(): Promise<void> {
    const life = ++this.#life
    this.#isWelcome = false
    this.#inFlight = false
    let last = Promise.resolve()
    const peer = {
      message: (text: string): void => {
        last = Promise.all([last, this.#time.sleep(5)]).then(() => this.#receive(life, JSON.parse(text) as LinkDown))
      },
      closed: (): void => {
        if (life === this.#life) this.drop()
      },
    }
    const headers = { 'x-covibes-environment': this.#environment, authorization: `Link ${'k'.repeat(32)}` }
    const id = await this.#gateway.connect(peer, {}, headers)
    if (life !== this.#life) return
    if (id === undefined) return this.drop()
    this.#connectionId = id
    this.#say(life, { type: 'hello', protocol: 1 })
  }

  drop(): void {
    const life = ++this.#life
    if (this.#connectionId !== undefined) this.#gateway.drop(this.#connectionId)
    this.#connectionId = undefined
    if (this.dismissed !== undefined) return
    void this.#time.sleep(200).then(() => {
      if (life === this.#life) void this.start()
    })
  }

  write(text: string): void {
    this.written = Buffer.concat([this.written, Buffer.from(text)])
    this.#flush(this.#life)
  }

  /** What the container says every 30 s. */
  health(): void {
    if (this.#isWelcome) this.#say(this.#life, { type: 'health', status: 'healthy' })
  }

  #flush(life: number): void {
    if (!this.#isWelcome || this.#inFlight || this.acknowledged >= this.written.length) return
    this.#inFlight = true
    let end = Math.min(this.acknowledged + 2_000, this.written.length)
    while (end < this.written.length && ((this.written[end] ?? 0) & 0xc0) === 0x80) end--
    const data = this.written.subarray(this.acknowledged, end).toString()
    this.#say(life, { type: 'output', offset: this.acknowledged, data })
  }

  /** The link is opened anew when an answer is overdue. */
  #say(life: number, message: Record<string, unknown>): void {
    this.#gateway.send(this.#connectionId ?? '', JSON.stringify({ action: 'link', ...message }))
    if (message.type === 'health') return
    const acknowledged = this.acknowledged
    void this.#time.sleep(5_000).then(() => {
      const isStuck = message.type === 'hello' ? !this.#isWelcome : this.acknowledged === acknowledged
      if (life === this.#life && isStuck) this.drop()
    })
  }

  #receive(life: number, message: LinkDown): void {
    if (life !== this.#life) return
    // The gateway's own error frame is not a message of the link.
    if (message.type === undefined) this.drop()
    else if (message.type === 'welcome') {
      this.#isWelcome = true
      this.acknowledged = message.acknowledged
      this.sizes.push(`${message.terminal.cols}x${message.terminal.rows}`)
    } else if (message.type === 'ack') {
      this.#inFlight = false
      this.acknowledged = Math.max(this.acknowledged, message.offset)
    } else if (message.type === 'input') {
      if (!this.inputs.some(({ id }) => id === message.id)) this.inputs.push(message)
    } else if (message.type === 'resize') this.sizes.push(`${message.cols}x${message.rows}`)
    else if (message.type === 'dismissed') this.dismissed = message.reason
    this.#flush(life)
  }
}
