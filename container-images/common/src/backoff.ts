/**
 * Waits between tries: doubling from `minMs` to `maxMs`, each drawn evenly from its upper half, so that containers that
 * lost their links together do not come back together and none comes back at once.
 */
export class Backoff {
  readonly #minMs: number
  readonly #maxMs: number
  readonly #random: () => number
  #failures = 0

  constructor(minMs: number, maxMs: number, random: () => number = Math.random) {
    this.#minMs = minMs
    this.#maxMs = maxMs
    this.#random = random
  }

  /** Milliseconds that the next wait takes at most. */
  get longestMs(): number {
    return Math.min(this.#maxMs, this.#minMs * 2 ** Math.min(this.#failures, 30))
  }

  /** The wait before the next try, in milliseconds. */
  next(): number {
    const ceiling = this.longestMs
    this.#failures++
    return ceiling / 2 + (this.#random() * ceiling) / 2
  }

  reset(): void {
    this.#failures = 0
  }
}
