/** The terminal log as lines for people and programs that are not terminals. */
import { stripVTControlCharacters } from 'node:util'
import { LINK_CHUNK_MAX_ENCODED_BYTES } from '../../contracts/limits.ts'
import type { EnvironmentRef } from '../environments/schema.ts'
import { BadRequest } from '../errors.ts'
import type { TerminalLogReader } from './ports.ts'
import { byteLength, type Chunk, endOf } from './schema.ts'

export interface OutputLine {
  /** ISO 8601: when the line's first byte was received. */
  readonly timestamp: string
  readonly line: string
}

/** Longest line, in characters; full-screen programs may draw for hours without one line feed. */
const MAX_LINE_CHARS = 16_384
/** The same for lines in socket events: of three bytes a character it still fits into a 32 KB frame. */
const MAX_EVENT_LINE_CHARS = 8_192
const CHUNKS_PER_READ = 100
/** Chunks from which the newest lines are made: at 28 KB at most some 1 MB. */
const NEWEST_CHUNKS = 40
const NEWEST_LINES = 200

/** A line and where in the log's bytes it begins. */
interface RawLine {
  readonly text: string
  readonly at: number
  /** Of the chunk in which it begins, and the bytes of that chunk before it. */
  readonly position: number
  readonly skip: number
}
type EndedLine = RawLine & { readonly end: number }

/** A line that will not change any more, and the position in the log's bytes behind it. */
export type FinishedLine = OutputLine & { readonly end: number }

/**
 * The finished lines that begin at or above `position` (0, or the `end` of a line), oldest first: at least one if there is
 * one, and no more reads when they make `maxBytes` of JSON. `more`: there may be others behind them. A line ends at a line
 * feed, at 8,192 characters, or where the next generation begins.
 */
export async function readFinishedLines(
  log: Pick<TerminalLogReader, 'readFrom'>,
  terminal: EnvironmentRef,
  position: number,
  maxBytes: number,
): Promise<{ lines: FinishedLine[]; more: boolean }> {
  const lines: FinishedLine[] = []
  let bytes = 0
  const collector = new LineCollector((line) => {
    const finished = { ...readable(line), end: line.end }
    bytes += byteLength(JSON.stringify(finished))
    lines.push(finished)
  }, MAX_EVENT_LINE_CHARS)
  // The position may be inside a chunk, which is found by its beginning.
  let from = Math.max(0, position - LINK_CHUNK_MAX_ENCODED_BYTES)
  for (;;) {
    const page = await log.readFrom(terminal, from, CHUNKS_PER_READ)
    for (const chunk of page.chunks) {
      from = endOf(chunk)
      if (from <= position) continue
      collector.add(chunk, Math.max(0, position - chunk.position))
      if (bytes > maxBytes) return { lines, more: true }
    }
    if (!page.more || page.chunks.length === 0) return { lines, more: false }
    if (lines.length > 0) return { lines, more: true }
  }
}

/**
 * Lines oldest first from the cursor on, at most `limit`. The last line of the log may be unfinished (a prompt); it is given,
 * and `nextCursor` stands before it, so that the next page gives it again as far as it has grown. `truncated`: what the
 * cursor (or, without one, the beginning) pointed at has been dropped from the log. @throws BadRequest for a foreign cursor
 */
export async function readOutputLines(
  log: TerminalLogReader,
  { teamId, id }: EnvironmentRef,
  { cursor, limit }: { cursor?: string | undefined; limit: number },
): Promise<{ output: OutputLine[]; truncated: boolean; nextCursor?: string }> {
  const from = cursor === undefined ? { position: 0, skip: 0 } : decodeCursor(cursor)
  const lines: RawLine[] = []
  const collector = new LineCollector((line) => lines.push(line))
  let position = from.position
  let truncated: boolean | undefined
  for (let more = true; more && lines.length <= limit; ) {
    const page = await log.readFrom({ teamId, id }, position, CHUNKS_PER_READ)
    for (const chunk of page.chunks) {
      truncated ??= chunk.position > from.position
      const skip = chunk.position === from.position ? from.skip : 0
      collector.add(chunk, skip)
      position = chunk.position + byteLength(chunk.data)
    }
    more = page.more && page.chunks.length > 0
  }
  const unfinished = collector.rest()
  const next = lines[limit] ?? unfinished ?? { position, skip: 0 }
  const output = lines.length < limit && unfinished ? [...lines, unfinished] : lines.slice(0, limit)
  return {
    output: output.map(readable),
    truncated: truncated ?? false,
    nextCursor: `${next.position}.${next.skip}`,
  }
}

/** The newest lines, oldest of them first; at most 200. */
export async function readNewestLines(
  log: TerminalLogReader,
  { teamId, id }: EnvironmentRef,
  limit = NEWEST_LINES,
): Promise<OutputLine[]> {
  const chunks = await log.readNewest({ teamId, id }, NEWEST_CHUNKS)
  const lines: RawLine[] = []
  const collector = new LineCollector((line) => lines.push(line))
  for (const chunk of chunks) collector.add(chunk, 0)
  const unfinished = collector.rest()
  return [...lines, ...(unfinished ? [unfinished] : [])].slice(-limit).map(readable)
}

function decodeCursor(cursor: string): { position: number; skip: number } {
  const match = /^(\d{1,16})\.(\d{1,6})$/.exec(cursor)
  if (match) return { position: Number(match[1]), skip: Number(match[2]) }
  throw new BadRequest('cursor is not one that this API has given', [{ field: 'cursor', message: 'unknown cursor' }])
}

const splitsPair = (text: string, at: number): boolean =>
  /^[\ud800-\udbff][\udc00-\udfff]/.test(text.slice(at - 1, at + 1))

/** Cuts chunks at line feeds, and where a new generation begins; a line may span chunks. */
class LineCollector {
  readonly #emit: (line: EndedLine) => void
  readonly #maxChars: number
  #open: RawLine | undefined
  #generation: number | undefined

  constructor(emit: (line: EndedLine) => void, maxChars = MAX_LINE_CHARS) {
    this.#emit = emit
    this.#maxChars = maxChars
  }

  /** @param skip Bytes of the chunk that are not wanted. */
  add(chunk: Chunk, skip: number): void {
    if (this.#generation !== undefined && this.#generation !== chunk.generation) this.#flush(chunk.position)
    this.#generation = chunk.generation
    const text = skip === 0 ? chunk.data : Buffer.from(chunk.data).subarray(skip).toString()
    let offset = skip
    let from = 0
    while (from < text.length) {
      const feed = text.indexOf('\n', from)
      const room = this.#maxChars - (this.#open?.text.length ?? 0)
      const isCut = feed === -1 ? text.length - from > room : feed - from > room
      const cut = splitsPair(text, from + room) ? from + room - 1 : from + room
      const to = isCut ? cut : feed === -1 ? text.length : feed
      const piece = text.slice(from, to)
      const start = { at: chunk.at, position: chunk.position, skip: offset }
      this.#open = this.#open ? { ...this.#open, text: this.#open.text + piece } : { ...start, text: piece }
      const ends = isCut || feed !== -1
      const consumed = text.slice(from, ends && !isCut ? to + 1 : to)
      offset += byteLength(consumed)
      from += consumed.length
      if (ends) this.#flush(chunk.position + offset)
    }
  }

  /** What stands behind the last line feed. */
  rest(): RawLine | undefined {
    return this.#open
  }

  /** @param end The position behind the line. */
  #flush(end: number): void {
    if (this.#open) this.#emit({ ...this.#open, end })
    this.#open = undefined
  }
}

const readable = ({ text, at }: RawLine): OutputLine => ({
  timestamp: new Date(at).toISOString(),
  line: plainText(text),
})

/** Device control and other strings up to their terminator; they go first, as their content looks like text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
const STRINGS = /\x1b[PX^_][^\x1b\x07]*(?:\x1b\\|\x07)?/g
/** What else begins with ESC and is not a CSI or OSC sequence: character sets, keypad modes. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: see above
const SHORT_ESCAPES = /\x1b[ -/]*[0-~]/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: see above
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f]/g

/** What would be left on the screen of a program that only writes lines: a carriage return begins the line anew. */
function plainText(text: string): string {
  const plain = stripVTControlCharacters(text.replace(STRINGS, '')).replace(SHORT_ESCAPES, '')
  const written = plain.replace(/\r+$/, '')
  return written.slice(written.lastIndexOf('\r') + 1).replace(CONTROLS, '')
}
