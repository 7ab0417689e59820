/** One piece of typed input: `at` is the gateway's receive time in ms since the epoch, `id` is unique. */
export type TypedInput = { readonly id: string; readonly at: number; readonly data: string }

export type InputOrderOptions = {
  /** Milliseconds an input is held for earlier ones: the latency it adds at most, and the disorder it repairs. */
  readonly windowMs: number
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

const precedes = (a: TypedInput, b: TypedInput): boolean => a.at < b.at || (a.at === b.at && a.id < b.id)

/**
 * Puts inputs back into the order in which the gateway received them. Each is held until `windowMs` after the moment it
 * would have arrived with the least delay seen lately, so one that was already delayed on its way waits less. An
 * input earlier than what was already written is late: it is written at once and counted. Repeated ids are dropped.
 */
export class InputOrder {
  readonly #write: (data: string) => void
  readonly #windowMs: number
  readonly #now: () => number
  readonly #held: TypedInput[] = []
  readonly #seen = new Set<string>()
  #lastWritten: TypedInput | undefined
  #offset = Number.POSITIVE_INFINITY
  #previousOffset = Number.POSITIVE_INFINITY
  #periodStart = 0
  #heldChars = 0
  #timer: NodeJS.Timeout | undefined
  #late = 0

  constructor(write: (data: string) => void, options: InputOrderOptions) {
    this.#write = write
    this.#windowMs = options.windowMs
    this.#now = options.now ?? (() => performance.now())
  }

  /** Inputs that came after a later one had been written. */
  get lateCount(): number {
    return this.#late
  }

  accept(input: TypedInput): void {
    if (this.#seen.has(input.id)) return
    this.#remember(input.id)
    this.#learnOffset(input.at)
    if (this.#lastWritten && precedes(input, this.#lastWritten)) {
      this.#late++
      this.#write(input.data)
      return
    }
    let index = this.#held.length
    while (index > 0 && precedes(input, this.#held[index - 1] as TypedInput)) index--
    this.#held.splice(index, 0, input)
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

  #learnOffset(at: number): void {
    const now = this.#now()
    if (now - this.#periodStart >= OFFSET_PERIOD_MS) {
      this.#previousOffset = this.#offset
      this.#offset = Number.POSITIVE_INFINITY
      this.#periodStart = now
    }
    this.#offset = Math.min(this.#offset, now - at)
  }

  #dueAt(input: TypedInput): number {
    return input.at + Math.min(this.#offset, this.#previousOffset) + this.#windowMs
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
