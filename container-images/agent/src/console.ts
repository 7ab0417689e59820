import type { LinkDown, LinkUp } from '../../../shared/contracts/link.ts'
import { OutputBuffer } from '../../common/src/output-buffer.ts'
import { OutputSender } from '../../common/src/output-sender.ts'
import { InputOrder } from './input-order.ts'
import { Terminal, type TerminalCommand, type TerminalEnd, type TerminalSize } from './terminal.ts'
import type { Timings } from './timings.ts'

export type ConsolePorts = {
  /** Hands a message to the link; false when it is down. */
  send(message: LinkUp): boolean
  /** The link does not get on: it must be opened anew. */
  stalled(why: string): void
  /** The control plane acknowledged output. */
  progressed(): void
}

/** Input typed before the program runs is kept up to this many UTF-16 units. */
const MAX_EARLY_INPUT = 1024 * 1024

/**
 * The agent's terminal as the control plane sees it: output that leaves in order and is kept until acknowledged, input
 * that arrives in order. When too much output is kept, the terminal is paused, so the program waits and nothing is lost.
 */
export class Console {
  readonly output = new OutputBuffer()
  readonly #sender: OutputSender
  readonly #input: InputOrder
  readonly #early: string[] = []
  #earlyLength = 0
  #terminal: Terminal | undefined
  #size: TerminalSize = { cols: 80, rows: 24 }
  #paused = false
  #refusedInputs = 0

  constructor(ports: ConsolePorts, timings: Pick<Timings, 'ackMs' | 'inputWindowMs'>) {
    this.#sender = new OutputSender(
      this.output,
      {
        send: ports.send,
        stalled: ports.stalled,
        progressed: () => {
          if (this.#paused && this.output.roomy) this.#resume()
          ports.progressed()
        },
      },
      timings.ackMs,
    )
    this.#input = new InputOrder((data) => this.#type(data), { windowMs: timings.inputWindowMs })
  }

  get running(): boolean {
    return this.#terminal?.alive ?? false
  }

  get lateInputs(): number {
    return this.#input.lateCount
  }

  /** Inputs that were thrown away because the program did not read. */
  get refusedInputs(): number {
    return this.#refusedInputs
  }

  /** For /status. */
  status(): object {
    return {
      pid: this.#terminal?.pid,
      paused: this.#paused,
      bytesSent: this.#sender.sentBytes,
      bytesAcknowledged: this.output.base,
      bytesPending: this.output.pending,
      bytesPendingPeak: this.output.peak,
      lateInputs: this.lateInputs,
      refusedInputs: this.#refusedInputs,
    }
  }

  /** The link is up: sends what the log does not hold. */
  linkUp(acknowledged: number, size: TerminalSize): void {
    if (this.output.end === 0) this.output.startAt(acknowledged)
    this.resize(size)
    this.#sender.connected(acknowledged)
  }

  linkDown(): void {
    this.#sender.disconnected()
  }

  acknowledged(offset: number): void {
    this.#sender.acknowledged(offset)
  }

  /** Shows a text of the agent's own, before the program runs or after it. */
  show(text: string): void {
    this.#take(Buffer.from(text.replace(/\r?\n/g, '\r\n')))
  }

  /** Runs a program; `ended` is called after its last output has been taken. Throws when it cannot be started. */
  start(command: TerminalCommand, ended: (end: TerminalEnd) => void): void {
    this.#terminal = new Terminal(command, this.#size, { output: (bytes) => this.#take(bytes), ended })
    for (const data of this.#early.splice(0)) this.#type(data)
  }

  accept(input: Extract<LinkDown, { type: 'input' }>): void {
    this.#input.accept(input)
  }

  resize(size: TerminalSize): void {
    this.#size = { cols: size.cols, rows: size.rows }
    this.#terminal?.resize(this.#size)
  }

  signal(signal: NodeJS.Signals): void {
    this.#terminal?.signalForeground(signal)
  }

  signalAll(signal: NodeJS.Signals): void {
    this.#terminal?.signalAll(signal)
  }

  /** No more input and output; resolves when the log holds everything. */
  finish(): Promise<void> {
    this.#input.close()
    this.output.finish()
    this.#sender.flush()
    return this.#sender.drained()
  }

  #take(bytes: Buffer): void {
    this.output.push(bytes)
    this.#sender.flush()
    if (!this.#paused && this.output.full && this.#terminal) {
      this.#paused = true
      this.#terminal.pause()
    }
  }

  #resume(): void {
    this.#paused = false
    this.#terminal?.resume()
  }

  #type(data: string): void {
    if (this.#terminal) {
      if (!this.#terminal.write(data)) this.#refusedInputs++
    } else if (this.#earlyLength + data.length <= MAX_EARLY_INPUT) {
      this.#earlyLength += data.length
      this.#early.push(data)
    } else this.#refusedInputs++
  }
}
