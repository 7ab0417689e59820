/** What closes once. `on` and not `once`: it is asked several times for each request, and `once` costs a wrapper and its removal. */
export type Closing = { on(event: 'close', listener: () => void): unknown }

/** How much of something each preview has open, up to a bound. Counts what is open only: nothing stays behind. */
export class Occupancy {
  readonly #limit: number
  readonly #open = new Map<string, number>()

  constructor(limit: number) {
    this.#limit = limit
  }

  /** False when the preview has its share already; otherwise one more is open until `until` closes. */
  take(label: string, until: Closing): boolean {
    const count = this.#open.get(label) ?? 0
    if (count >= this.#limit) return false
    this.#open.set(label, count + 1)
    until.on('close', () => {
      const left = (this.#open.get(label) ?? 1) - 1
      if (left > 0) this.#open.set(label, left)
      else this.#open.delete(label)
    })
    return true
  }
}
