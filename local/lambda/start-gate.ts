/** What starts environments: the pool of one function. */
export interface Starter {
  /** Whether one more environment would be of use now. */
  readonly wantsStart: boolean
  /** Starts one; resolves when its initialization has ended, however it did. Never rejects. */
  start(): Promise<void>
}

/**
 * Lets at most `limit` environments initialize at once over all functions. Each compiles for some 300 ms of a core, and starts
 * beyond the cores would only delay each other and the invocations that run. Functions take turns, so that the burst of one
 * does not keep another from its first environment.
 */
export class StartGate {
  readonly #limit: number
  readonly #queue = new Set<Starter>()
  #starting = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** To be called whenever the starter may want a start. */
  request(starter: Starter): void {
    this.#queue.add(starter)
    this.#admit()
  }

  #admit(): void {
    // A starter that is put back is at the end of the set, and is met again by this same loop.
    for (const starter of this.#queue) {
      if (this.#starting >= this.#limit) return
      this.#queue.delete(starter)
      if (!starter.wantsStart) continue
      this.#starting++
      void starter.start().finally(() => {
        this.#starting--
        this.#admit()
      })
      if (starter.wantsStart) this.#queue.add(starter)
    }
  }
}
