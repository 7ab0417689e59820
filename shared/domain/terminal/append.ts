/**
 * Appending to the terminal log (invariant 8: once and in order). A chunk's key is its position and chunks are never changed,
 * so the conditional put of the next chunk is the whole concurrency control: of two writers at the same end one wins, the
 * other reads what is there and goes on behind it. Repeats and overlaps are answered with the log's true end.
 */
import { LINK_CHUNK_MAX_ENCODED_BYTES, TERMINAL_LOG_MAX_BYTES } from '../../contracts/limits.ts'
import type { Clock } from '../clock.ts'
import { Unavailable } from '../errors.ts'
import type { TerminalLogStore } from './ports.ts'
import { byteLength, type Chunk, endOf, type TerminalRef } from './schema.ts'
import { splitEncoded } from './split.ts'

export interface AppendDeps {
  readonly terminalLog: TerminalLogStore
  readonly clock: Clock
}

/** Where a generation stands in the log: its offset 0 is position `base`, and everything below offset `end` is stored. */
export type Place = { readonly base: number; readonly end: number }
export type Appended =
  /** `chunks`: the newest of what was stored, in order and without a gap. */
  | (Place & { readonly outcome: 'appended'; readonly chunks: readonly Chunk[] })
  | (Place & { readonly outcome: 'repeated' })
  /** Nothing is stored: the output begins above the log's end, or inside one of its characters. */
  | (Place & { readonly outcome: 'gap' })
  /** A newer generation has written: this container's output is no longer wanted. */
  | { readonly outcome: 'superseded' }

/** Lost races before the sender is told to try again; a terminal has one writer, or for a moment two. */
const MAX_TRIES = 8
/** The log is trimmed once for so many bytes of output. */
const TRIM_EVERY_BYTES = 256 * 1024

/** Milliseconds after which the newest chunk is kept anew: often enough for its days, seldom enough to cost nothing. */
const KEEP_AFTER_MS = 24 * 3_600_000

/**
 * Where the generation's next output belongs; `superseded` when a newer one has written. Asked at every hello of a link, every
 * two hours at least, it keeps the newest chunk of a silent container from expiring: by that chunk alone positions go on
 * where they were, and viewers stand at positions.
 */
export async function placeOf(
  terminal: TerminalRef,
  generation: number,
  { terminalLog, clock }: AppendDeps,
): Promise<Place | 'superseded'> {
  const [newest] = await terminalLog.readNewest(terminal, 1)
  if (!newest) return { base: 0, end: 0 }
  if (newest.generation > generation) return 'superseded'
  const now = clock.now().getTime()
  if (now - newest.at > KEEP_AFTER_MS) await terminalLog.keep(terminal, newest.position, now)
  if (newest.generation < generation) return { base: endOf(newest), end: 0 }
  const base = newest.position - newest.offset
  return { base, end: endOf(newest) - base }
}

/**
 * Appends output that begins at `offset` of its generation: one that its sender was given by a welcome or an acknowledgement,
 * hence the end of a chunk. (A container that invents offsets garbles its own terminal's log, and nobody else's.)
 * `base` is what `placeOf` answered at the link's hello; a wrong one
 * costs a read, never a byte.
 */
export async function appendOutput(
  terminal: TerminalRef,
  output: { generation: number; offset: number; data: string; base?: number | undefined },
  deps: AppendDeps,
): Promise<Appended> {
  const { generation } = output
  const bytes = Buffer.from(output.data)
  const wantedEnd = output.offset + bytes.length
  let place: Place | 'superseded' =
    output.base === undefined ? await placeOf(terminal, generation, deps) : { base: output.base, end: output.offset }
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    if (place === 'superseded') return { outcome: 'superseded' }
    if (wantedEnd <= place.end) return { outcome: 'repeated', ...place }
    // A log that has expired leaves no gap that anybody could fill: it goes on where its container is.
    if (place.base === 0 && place.end === 0) place = { base: 0, end: output.offset }
    const rest = remainder(bytes, place.end - output.offset)
    if (rest === undefined) return { outcome: 'gap', ...place }
    const chunks = await putAll(terminal, generation, place, rest, deps)
    const stored: Place = { base: place.base, end: chunks.reduce((end, { data }) => end + byteLength(data), place.end) }
    if (stored.end === wantedEnd) {
      await trim(terminal, place, stored, deps)
      return { outcome: 'appended', ...stored, chunks }
    }
    place = await placeOf(terminal, generation, deps)
  }
  throw new Unavailable('the terminal log is being written by too many at once')
}

/** What follows the first `known` bytes; undefined when they are more than there are before it, or end inside a character. */
function remainder(bytes: Buffer, known: number): string | undefined {
  if (known < 0) return undefined
  const first = bytes[known]
  const isInsideCharacter = first !== undefined && (first & 0xc0) === 0x80
  return isInsideCharacter ? undefined : bytes.subarray(known).toString()
}

/** Puts the text as chunks until done or until another writer was first; answers what it has put. */
async function putAll(
  terminal: TerminalRef,
  generation: number,
  place: Place,
  text: string,
  { terminalLog, clock }: AppendDeps,
): Promise<Chunk[]> {
  const chunks: Chunk[] = []
  let { end } = place
  for (const data of splitEncoded(text, LINK_CHUNK_MAX_ENCODED_BYTES)) {
    const chunk: Chunk = { position: place.base + end, generation, offset: end, data, at: clock.now().getTime() }
    if (!(await terminalLog.putIfAbsent(terminal, chunk))) break
    chunks.push(chunk)
    end += byteLength(data)
  }
  return chunks
}

async function trim(terminal: TerminalRef, from: Place, to: Place, { terminalLog }: AppendDeps): Promise<void> {
  const end = to.base + to.end
  const crossed = Math.floor(end / TRIM_EVERY_BYTES) > Math.floor((from.base + from.end) / TRIM_EVERY_BYTES)
  if (crossed && end > TERMINAL_LOG_MAX_BYTES) await terminalLog.removeBelow(terminal, end - TERMINAL_LOG_MAX_BYTES)
}
