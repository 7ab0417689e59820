import type * as z from 'zod'
import { LINK_CHUNK_MAX_ENCODED_BYTES, MAX_MESSAGE_PARTS } from '../../../../shared/contracts/limits.ts'
import type { AnswerPartSchema, MessagePartSchema } from '../../../../shared/contracts/link.ts'

export type MessagePart = z.infer<typeof MessagePartSchema>
export type AnswerPart = z.infer<typeof AnswerPartSchema>

/** Bytes that a code point has inside a JSON string (ECMA-262, QuoteJSONString). */
function encodedBytes(code: number): number {
  if (code === 0x22 || code === 0x5c) return 2
  if (code < 0x20) return code === 8 || code === 9 || code === 10 || code === 12 || code === 13 ? 2 : 6
  if (code < 0x80) return 1
  if (code < 0x800) return 2
  // A surrogate without its other half is written as \udXXX.
  if (code >= 0xd800 && code <= 0xdfff) return 6
  return code < 0x10000 ? 3 : 4
}

/** A text as messages that each fit one frame and split no character. Undefined when it needs more parts than a message may have. */
export function splitMessage(id: string, text: string): readonly MessagePart[] | undefined {
  const pieces: string[] = []
  let from = 0
  let bytes = 0
  for (let at = 0; at < text.length; ) {
    const code = text.codePointAt(at) ?? 0
    const more = encodedBytes(code)
    if (bytes + more > LINK_CHUNK_MAX_ENCODED_BYTES) {
      pieces.push(text.slice(from, at))
      if (pieces.length >= MAX_MESSAGE_PARTS) return undefined
      from = at
      bytes = 0
    }
    bytes += more
    at += code > 0xffff ? 2 : 1
  }
  pieces.push(text.slice(from))
  return pieces.map((data, part) => ({ id, part, parts: pieces.length, data }))
}

export type ReassemblyLimits = {
  /** Messages of which parts are still missing. */
  readonly open: number
  /** UTF-16 units of one message, and of all that are open. */
  readonly length: number
  readonly totalLength: number
  /** Milliseconds from a message's first part to its last. */
  readonly patienceMs: number
}

/** A megabyte of text is at most six times as long in JSON; and a quarter of the smallest container's memory in all. */
export const REASSEMBLY_LIMITS: ReassemblyLimits = {
  open: 16,
  length: 8 * 1024 * 1024,
  totalLength: 32 * 1024 * 1024,
  patienceMs: 30_000,
}

/** Identifiers of ended messages that are remembered, so that a part that comes twice over one link begins nothing. */
const REMEMBERED = 1_000

type Open = { readonly parts: (string | undefined)[]; missing: number; length: number; readonly since: number }

/** Puts messages together from parts that may come in any order, more than once, or never. Whatever goes beyond its bounds is dropped. */
export class Reassembly {
  readonly #limits: ReassemblyLimits
  readonly #now: () => number
  readonly #open = new Map<string, Open>()
  readonly #done = new Set<string>()
  #totalLength = 0

  constructor(limits: ReassemblyLimits = REASSEMBLY_LIMITS, now: () => number = () => performance.now()) {
    this.#limits = limits
    this.#now = now
  }

  /** Messages of which parts are missing. */
  get open(): number {
    return this.#open.size
  }

  /** The whole text with its last part; `dropped` when this part made its message impossible; undefined when more is to come. */
  accept({ id, part, parts, data }: MessagePart): { text: string } | 'dropped' | undefined {
    this.#expire()
    if (this.#done.has(id)) return undefined
    const open = this.#open.get(id) ?? this.#begin(id, parts)
    if (open === undefined || parts !== open.parts.length || part >= parts) return this.#drop(id)
    if (open.parts[part] !== undefined) return undefined
    open.parts[part] = data
    open.missing--
    open.length += data.length
    this.#totalLength += data.length
    if (open.length > this.#limits.length || this.#totalLength > this.#limits.totalLength) return this.#drop(id)
    if (open.missing > 0) return undefined
    this.#forget(id)
    return { text: open.parts.join('') }
  }

  /** A new link: whoever asked sends all parts again, those of ended messages too. */
  reset(): void {
    this.#open.clear()
    this.#done.clear()
    this.#totalLength = 0
  }

  #begin(id: string, parts: number): Open | undefined {
    if (this.#open.size >= this.#limits.open || parts > MAX_MESSAGE_PARTS) return undefined
    const open = {
      parts: new Array<string | undefined>(parts).fill(undefined),
      missing: parts,
      length: 0,
      since: this.#now(),
    }
    this.#open.set(id, open)
    return open
  }

  #drop(id: string): 'dropped' {
    this.#forget(id)
    return 'dropped'
  }

  /** Ends a message, for good: parts of it that are still to come find it done. */
  #forget(id: string): void {
    this.#totalLength -= this.#open.get(id)?.length ?? 0
    this.#open.delete(id)
    this.#done.add(id)
    const [oldest] = this.#done
    if (this.#done.size > REMEMBERED && oldest !== undefined) this.#done.delete(oldest)
  }

  #expire(): void {
    for (const [id, { since }] of this.#open) {
      if (this.#now() - since < this.#limits.patienceMs) return
      this.#forget(id)
    }
  }
}
