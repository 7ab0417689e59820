import type { LinkUp } from '../../../shared/contracts/link.ts'
import type { OutputBuffer } from './output-buffer.ts'

export type OutputSenderPorts = {
  /** Hands a message to the link; false when the link is down. */
  send(message: LinkUp): boolean
  /** An acknowledgement is overdue or impossible: the link must be opened anew. */
  stalled(why: string): void
  /** Output was acknowledged. */
  progressed(): void
}

/**
 * Sends the buffer's output with one message in flight. While it is, new output gathers in the buffer, so the next
 * message carries all of it; with nothing in flight, output leaves at once. What is in flight when the link is lost is
 * sent again from the offset that the next `welcome` names, because it may or may not have reached the log.
 */
export class OutputSender {
  readonly #buffer: OutputBuffer
  readonly #ports: OutputSenderPorts
  readonly #ackMs: number
  readonly #waiting: (() => void)[] = []
  #connected = false
  #inFlightEnd: number | undefined
  #timer: NodeJS.Timeout | undefined
  #sent = 0

  constructor(buffer: OutputBuffer, ports: OutputSenderPorts, ackMs: number) {
    this.#buffer = buffer
    this.#ports = ports
    this.#ackMs = ackMs
  }

  /** Bytes handed to the link so far, repetitions included. */
  get sentBytes(): number {
    return this.#sent
  }

  /** The link is up and the log holds everything below `acknowledged`. */
  connected(acknowledged: number): void {
    this.#connected = true
    this.#settle()
    this.acknowledged(acknowledged)
    this.flush()
  }

  disconnected(): void {
    this.#connected = false
    this.#settle()
  }

  /** A late or repeated acknowledgement is below what is held, and changes nothing. */
  acknowledged(offset: number): void {
    if (!this.#connected) return
    const before = this.#buffer.base
    try {
      this.#buffer.acknowledge(offset)
    } catch (error) {
      this.#ports.stalled(error instanceof Error ? error.message : String(error))
      return
    }
    if (this.#buffer.base > before) this.#ports.progressed()
    if (this.#inFlightEnd !== undefined && this.#buffer.base >= this.#inFlightEnd) this.#settle()
    this.flush()
    if (this.#buffer.pending === 0) for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** Sends what is there unless something is in flight. To be called whenever output was added. */
  flush(): void {
    if (!this.#connected || this.#inFlightEnd !== undefined) return
    const chunk = this.#buffer.firstChunk()
    if (!chunk) return
    if (!this.#ports.send({ action: 'link', type: 'output', offset: chunk.offset, data: chunk.data })) return
    this.#inFlightEnd = chunk.end
    this.#sent += chunk.end - chunk.offset
    this.#timer = setTimeout(() => this.#ports.stalled(`No acknowledgement within ${this.#ackMs} ms`), this.#ackMs)
  }

  /** Resolves when everything in the buffer has been acknowledged. */
  drained(): Promise<void> {
    if (this.#buffer.pending === 0) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #settle(): void {
    clearTimeout(this.#timer)
    this.#inFlightEnd = undefined
  }
}
