import { StringDecoder } from 'node:string_decoder'
import { stripVTControlCharacters } from 'node:util'
import type { LinkUp } from '../../../shared/contracts/link.ts'
import { PREVIEW_LAST_LINES, PREVIEW_LINE_CHARS } from '../../../shared/contracts/preview-link.ts'
import { OutputBuffer } from '../../common/src/output-buffer.ts'
import { OutputSender } from '../../common/src/output-sender.ts'

export type OutputLogPorts = {
  /** Hands a message to the link; false when it is down. */
  send(message: LinkUp): boolean
  stalled(why: string): void
  progressed(): void
}

/** Longest line that is put together before it is cut, in UTF-16 units. */
const MAX_LINE = 16 * 1024

/**
 * What a project's processes write, on its way to the log. A dev server never waits for a slow link: when too much is kept, the newest
 * output is left out, and how much is said in its place.
 */
export class OutputLog {
  readonly buffer = new OutputBuffer()
  readonly #sender: OutputSender
  readonly #decoder = new StringDecoder('utf8')
  readonly #lines: string[] = []
  #line = ''
  #leftOut = 0
  #last = 0

  constructor(ports: OutputLogPorts, ackMs: number) {
    this.#sender = new OutputSender(this.buffer, ports, ackMs)
  }

  /** Newest last, without colours; for the page of a failure. */
  get lastLines(): string[] {
    const rest = cleanLine(this.#line)
    return [...this.#lines, ...(rest === '' ? [] : [rest])].slice(-PREVIEW_LAST_LINES)
  }

  /** Bytes that are left out since the link stands still. */
  get leftOutBytes(): number {
    return this.#leftOut
  }

  linkUp(acknowledged: number): void {
    if (this.buffer.end === 0) this.buffer.startAt(acknowledged)
    this.#sender.connected(acknowledged)
  }

  linkDown(): void {
    this.#sender.disconnected()
  }

  acknowledged(offset: number): void {
    this.#sender.acknowledged(offset)
  }

  /** A line of this program's own. */
  say(text: string): void {
    this.take(Buffer.from(`[preview] ${text}\n`))
  }

  take(bytes: Buffer): void {
    this.#note(bytes)
    if (this.buffer.full || (this.#leftOut > 0 && !this.buffer.roomy)) this.#leftOut += bytes.length
    else {
      if (this.#leftOut > 0) this.#push(Buffer.from(`\n[preview] ${this.#leftOut} bytes of output were left out\n`))
      this.#leftOut = 0
      this.#push(bytes)
    }
    this.#sender.flush()
  }

  /** Resolves when the log holds everything. */
  finish(): Promise<void> {
    this.buffer.finish()
    this.#sender.flush()
    return this.#sender.drained()
  }

  /** As on a terminal: a line's end goes back to the line's begin. */
  #push(bytes: Buffer): void {
    const LF = 0x0a
    const CR = 0x0d
    if (!bytes.includes(LF)) this.buffer.push(bytes)
    else {
      const out = Buffer.allocUnsafe(bytes.length * 2)
      let length = 0
      let last = this.#last
      for (const byte of bytes) {
        if (byte === LF && last !== CR) out[length++] = CR
        out[length++] = byte
        last = byte
      }
      this.buffer.push(out.subarray(0, length))
    }
    this.#last = bytes.at(-1) ?? this.#last
  }

  #note(bytes: Buffer): void {
    const parts = (this.#line + this.#decoder.write(bytes)).split('\n')
    this.#line = (parts.pop() ?? '').slice(-MAX_LINE)
    for (const part of parts) {
      const line = cleanLine(part)
      if (line !== '') this.#lines.push(line)
    }
    this.#lines.splice(0, this.#lines.length - PREVIEW_LAST_LINES)
  }
}

/** What a terminal would show of a line in the end: after its last carriage return, without colours. */
function cleanLine(line: string): string {
  const shown = stripVTControlCharacters(line).replace(/\r+$/, '').split('\r').at(-1) ?? ''
  return shown.trimEnd().slice(0, PREVIEW_LINE_CHARS)
}
