/** What starts environments: the pool of one function. */
export interface Starter {
  /** Whether one more environment would be of use now. */
  readonly wantsStart: boolean
  /** Whether it has no environment at all. */
  readonly hasNone: boolean
  /** Starts one; resolves when its initialization has ended, however it did. Never rejects. */
  start(): Promise<void>
}

export interface StartGateOptions {
  /** Environments that initialize at once. */
  readonly limit: number
  /** Whether the processors have nothing left. */
  readonly isBusy: () => boolean
}

/**
 * While the processors are busy, milliseconds from one further start to the next, and to the next look at them. Nothing tells
 * when a processor becomes idle.
 */
const BUSY_START_MS = 1_000
const LOOK_MS = 100

/**
 * Lets environments start over all functions. Each compiles for some 300 ms of a core, so more than one a core would only delay
 * each other and the invocations that run. While the processors are busy, only a function without any environment
 * gets one at once, and the others one a second: 200 clients that connect at once are served by four environments in half the
 * time that forty take. Functions take turns, so that the burst of one does not keep another from its first.
 */
export class StartGate {
  readonly #options: StartGateOptions
  readonly #queue = new Set<Starter>()
  #starting = 0
  #startedAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  constructor(options: StartGateOptions) {
    this.#options = options
  }

  /** To be called whenever the starter may want a start. */
  request(starter: Starter): void {
    this.#queue.add(starter)
    this.#admit()
  }

  #admit(): void {
    // A starter that is put back is at the end of the set, and is met again by this same loop.
    for (const starter of this.#queue) {
      if (this.#starting >= this.#options.limit) return
      if (starter.wantsStart && !starter.hasNone && this.#mustWait()) continue
      this.#queue.delete(starter)
      if (!starter.wantsStart) continue
      this.#begin(starter)
      if (starter.wantsStart) this.#queue.add(starter)
    }
    if (this.#queue.size > 0) this.#timer ??= setTimeout(() => this.#look(), LOOK_MS).unref()
  }

  #look(): void {
    this.#timer = undefined
    this.#admit()
  }

  #mustWait(): boolean {
    return performance.now() - this.#startedAt < BUSY_START_MS && this.#options.isBusy()
  }

  #begin(starter: Starter): void {
    this.#starting++
    this.#startedAt = performance.now()
    void starter.start().finally(() => {
      this.#starting--
      this.#admit()
    })
  }
}
