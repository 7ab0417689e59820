/** One piece of typed input: `at` is the gateway's receive time in ms since the epoch, `id` is unique: `<request>-<piece>`. */
export type TypedInput = { readonly id: string; readonly at: number; readonly data: string }

export type InputOrderOptions = {
  /** Milliseconds an input is held for earlier ones at least: the disorder that is repaired whatever came before. */
  readonly windowMs: number
  /** The same at most; default 1,000. */
  readonly maxWindowMs?: number
  /** Monotonic milliseconds. */
  readonly now?: () => number
}

/** Ids remembered against doubled posts; a repetition follows its original within seconds, not thousands of inputs. */
const REMEMBERED_IDS = 4096
/** Inputs held at once, and their length in UTF-16 units; beyond either the earliest leaves before its time. */
const MAX_HELD = 4096
const MAX_HELD_CHARS = 4 * 1024 * 1024
/** The clock offset is the least one seen in this period and the one before, so a drifting clock is followed. */
const OFFSET_PERIOD_MS = 30_000

/** An input that took long is remembered for one to two of these periods: where one handler started cold, others do. */
const SLOW_PERIOD_MS = 2_000
/** The window is the longest delay seen lately and half of it: the next may be longer. */
const RESERVE = 1.5
/** A person who types blind for longer than this would rather see a letter in the wrong place. */
const MAX_WINDOW_MS = 1_000

/** `rank`: which of the requests of one millisecond came first, as far as anybody can tell. */
type Ranked = TypedInput & { readonly rank: number }

const precedes = (a: Ranked, b: Ranked): boolean =>
  a.at !== b.at ? a.at < b.at : a.rank !== b.rank ? a.rank < b.rank : a.id < b.id

const requestOf = ({ id }: TypedInput): string => (id.includes('-') ? id.slice(0, id.lastIndexOf('-')) : id)

/**
 * Puts inputs back into the order in which the gateway received them. Each is held until the window has passed since the
 * moment at which it would have arrived with the least delay seen lately, so one that was already delayed on its way waits less.
 * The window widens at once when an input took longer than it covers (a handler that started cold), for some seconds. An
 * input earlier than what was already written is late: it is written at once and counted. Repeated ids are dropped.
 *
 * The gateway tells milliseconds. Within one, inputs keep the order in which they came, the pieces of a request together and
 * in their own order.
 */
export class InputOrder {
  readonly #write: (data: string) => void
  readonly #windowMs: number
  readonly #maxWindowMs: number
  readonly #now: () => number
  readonly #held: Ranked[] = []
  readonly #seen = new Set<string>()
  readonly #slowest = new RecentGreatest(SLOW_PERIOD_MS)
  #lastWritten: Ranked | undefined
  #requests = 0
  #offset = Number.POSITIVE_INFINITY
  #previousOffset = Number.POSITIVE_INFINITY
  #periodStart = 0
  #heldChars = 0
  #timer: NodeJS.Timeout | undefined
  #late = 0

  constructor(write: (data: string) => void, options: InputOrderOptions) {
    this.#write = write
    this.#windowMs = options.windowMs
    this.#maxWindowMs = Math.max(options.windowMs, options.maxWindowMs ?? MAX_WINDOW_MS)
    this.#now = options.now ?? (() => performance.now())
  }

  /** Inputs that came after a later one had been written. */
  get lateCount(): number {
    return this.#late
  }

  /** Milliseconds that an input is held for earlier ones now. */
  get windowMs(): number {
    const slowest = this.#slowest.value - this.#leastOffset
    return Math.min(this.#maxWindowMs, Math.max(this.#windowMs, slowest * RESERVE))
  }

  get #leastOffset(): number {
    return Math.min(this.#offset, this.#previousOffset)
  }

  accept(input: TypedInput): void {
    if (this.#seen.has(input.id)) return
    this.#remember(input.id)
    this.#learn(input.at)
    const ranked = { ...input, rank: this.#rankOf(input) }
    if (this.#lastWritten && precedes(ranked, this.#lastWritten)) {
      this.#late++
      this.#write(input.data)
      return
    }
    let index = this.#held.length
    while (index > 0 && precedes(ranked, this.#held[index - 1] as Ranked)) index--
    this.#held.splice(index, 0, ranked)
    this.#heldChars += input.data.length
    this.#release()
  }

  /** Forgets what is held; nothing is written any more. */
  close(): void {
    clearTimeout(this.#timer)
    this.#held.length = 0
    this.#heldChars = 0
  }

  #remember(id: string): void {
    this.#seen.add(id)
    if (this.#seen.size <= REMEMBERED_IDS) return
    const oldest = this.#seen.values().next()
    if (!oldest.done) this.#seen.delete(oldest.value)
  }

  /**
   * What the way took beyond the clocks' difference is not known; the least and the greatest of late say enough. What took longer
   * than any window is no slow handler: it was typed while the container was starting, or between two links.
   */
  #learn(at: number): void {
    const now = this.#now()
    const known = this.#leastOffset
    if (now - this.#periodStart >= OFFSET_PERIOD_MS) {
      this.#previousOffset = this.#offset
      this.#offset = Number.POSITIVE_INFINITY
      this.#periodStart = now
    }
    this.#offset = Math.min(this.#offset, now - at)
    if (known - this.#leastOffset > this.#maxWindowMs) this.#slowest.forget()
    if (now - at - this.#leastOffset <= this.#maxWindowMs) this.#slowest.add(now - at, now)
  }

  /** The rank of its request: that of the pieces that are here already, or behind all that have come. */
  #rankOf(input: TypedInput): number {
    const request = requestOf(input)
    const isSibling = (other: Ranked): boolean => other.at === input.at && requestOf(other) === request
    const others = this.#held.slice(this.#held.findLastIndex(({ at }) => at < input.at) + 1)
    if (this.#lastWritten) others.push(this.#lastWritten)
    return others.find(isSibling)?.rank ?? ++this.#requests
  }

  #dueAt(input: TypedInput): number {
    return input.at + this.#leastOffset + this.windowMs
  }

  #release(): void {
    clearTimeout(this.#timer)
    for (;;) {
      const first = this.#held[0]
      if (!first) return
      const wait = this.#dueAt(first) - this.#now()
      if (wait > 0 && this.#held.length <= MAX_HELD && this.#heldChars <= MAX_HELD_CHARS) {
        this.#timer = setTimeout(() => this.#release(), wait)
        return
      }
      this.#held.shift()
      this.#heldChars -= first.data.length
      this.#lastWritten = first
      this.#write(first.data)
    }
  }
}

/** The greatest of the values of the present period and the one before it. */
class RecentGreatest {
  readonly #periodMs: number
  #since = Number.NEGATIVE_INFINITY
  #present = Number.NEGATIVE_INFINITY
  #previous = Number.NEGATIVE_INFINITY

  constructor(periodMs: number) {
    this.#periodMs = periodMs
  }

  /** `-Infinity` before the first. */
  get value(): number {
    return Math.max(this.#present, this.#previous)
  }

  add(value: number, now: number): void {
    const age = now - this.#since
    if (age >= this.#periodMs) {
      this.#previous = age < 2 * this.#periodMs ? this.#present : Number.NEGATIVE_INFINITY
      this.#present = Number.NEGATIVE_INFINITY
      this.#since = now
    }
    this.#present = Math.max(this.#present, value)
  }

  forget(): void {
    this.#present = this.#previous = Number.NEGATIVE_INFINITY
  }
}
