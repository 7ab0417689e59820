import { StringDecoder } from 'node:string_decoder'
import { LINK_CHUNK_MAX_ENCODED_BYTES } from '../../../shared/contracts/limits.ts'

/** Most bytes of output that are kept unacknowledged; before it is reached, the terminal is paused. */
export const OUTPUT_LIMIT_BYTES = 4 * 1024 * 1024

/**
 * Left free below the limit when the terminal is paused: what the stream (64 KiB) and the kernel (up to 64 KiB) still
 * hold when a program ends while paused, three times because each invalid byte becomes a three-byte U+FFFD.
 */
const RESERVE_BYTES = 512 * 1024
const FIRST_CAPACITY = 64 * 1024

/** The control plane acknowledged something that cannot be: beyond what exists, or inside a character. */
export class ImpossibleOffset extends Error {
  constructor(offset: number, why: string) {
    super(`The acknowledged offset ${offset} ${why}`)
    this.name = 'ImpossibleOffset'
  }
}

/** A piece of output as it is sent: `data` encodes to the bytes from `offset` up to `end`. */
export type OutputChunk = { readonly offset: number; readonly end: number; readonly data: string }

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80

/** Bytes that `JSON.stringify` makes of one byte of UTF-8: control characters become `\u001b` or `\n`, quotes `\"`. */
function encodedLength(byte: number): number {
  if (byte === 0x22 || byte === 0x5c) return 2
  if (byte >= 0x20) return 1
  return byte === 0x08 || byte === 0x09 || byte === 0x0a || byte === 0x0c || byte === 0x0d ? 2 : 6
}

/**
 * The output that the log does not hold yet, as valid UTF-8 addressed by byte offset since the generation's start.
 * Invariants: bytes leave only when acknowledged; a chunk never splits a character; at most `OUTPUT_LIMIT_BYTES` are
 * held if the writer stops while `full`.
 */
export class OutputBuffer {
  readonly #decoder = new StringDecoder('utf8')
  readonly #limit: number
  readonly #reserve: number
  #bytes = Buffer.allocUnsafe(FIRST_CAPACITY)
  #head = 0
  #tail = 0
  #base = 0
  #peak = 0

  constructor(limitBytes = OUTPUT_LIMIT_BYTES, reserveBytes = RESERVE_BYTES) {
    this.#limit = limitBytes
    this.#reserve = reserveBytes
  }

  /** Offset of the first byte that is not acknowledged. */
  get base(): number {
    return this.#base
  }

  /** Offset behind the last byte. */
  get end(): number {
    return this.#base + this.pending
  }

  get pending(): number {
    return this.#tail - this.#head
  }

  /** The most bytes that were ever pending. */
  get peak(): number {
    return this.#peak
  }

  /** The writer should stop. */
  get full(): boolean {
    return this.pending >= this.#limit - this.#reserve
  }

  /** The writer may go on: half of it has been acknowledged, so that it does not stop and go for every chunk. */
  get roomy(): boolean {
    return this.pending <= (this.#limit - this.#reserve) / 2
  }

  /** Where this generation's output begins; only before the first byte is pushed. */
  startAt(offset: number): void {
    if (this.end !== 0) throw new Error('Output has begun already')
    this.#base = offset
  }

  /** Adds raw bytes. An incomplete character at the end waits for its rest, invalid bytes become U+FFFD. */
  push(bytes: Uint8Array): void {
    this.#append(Buffer.from(this.#decoder.write(bytes as Buffer)))
  }

  /** No more bytes will come: an incomplete character becomes U+FFFD. */
  finish(): void {
    this.#append(Buffer.from(this.#decoder.end()))
  }

  /** Drops everything below `offset`. A lower offset than before changes nothing. Throws `ImpossibleOffset`. */
  acknowledge(offset: number): void {
    if (offset <= this.#base) return
    if (offset > this.end) throw new ImpossibleOffset(offset, `is beyond the output's end ${this.end}`)
    const head = this.#head + (offset - this.#base)
    if (head < this.#tail && isContinuation(this.#bytes[head]))
      throw new ImpossibleOffset(offset, 'lies inside a character')
    this.#head = head
    this.#base = offset
    if (this.pending === 0 && this.#bytes.length > FIRST_CAPACITY) {
      this.#bytes = Buffer.allocUnsafe(FIRST_CAPACITY)
      this.#head = this.#tail = 0
    }
  }

  /** The first unacknowledged output that fits into one message when encoded as JSON; undefined when there is none. */
  firstChunk(maxEncodedBytes = LINK_CHUNK_MAX_ENCODED_BYTES): OutputChunk | undefined {
    let encoded = 2
    let at = this.#head
    while (at < this.#tail) {
      encoded += encodedLength(this.#bytes[at] as number)
      if (encoded > maxEncodedBytes) break
      at++
    }
    if (at < this.#tail) while (at > this.#head && isContinuation(this.#bytes[at])) at--
    if (at === this.#head) return undefined
    const data = this.#bytes.toString('utf8', this.#head, at)
    return { offset: this.#base, end: this.#base + (at - this.#head), data }
  }

  #append(valid: Buffer): void {
    if (this.#tail + valid.length > this.#bytes.length) this.#makeRoom(valid.length)
    valid.copy(this.#bytes, this.#tail)
    this.#tail += valid.length
    this.#peak = Math.max(this.#peak, this.pending)
  }

  /** Moves the pending bytes to the front, of a larger buffer when they fill more than half of this one. */
  #makeRoom(more: number): void {
    const pending = this.pending
    let capacity = this.#bytes.length
    while (pending + more > capacity / 2) capacity *= 2
    const target = capacity === this.#bytes.length ? this.#bytes : Buffer.allocUnsafe(capacity)
    this.#bytes.copy(target, 0, this.#head, this.#tail)
    this.#bytes = target
    this.#head = 0
    this.#tail = pending
  }
}
