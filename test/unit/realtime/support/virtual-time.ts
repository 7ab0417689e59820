/** Time that passes only when everything waits: minutes of virtual time in milliseconds, the same for the same seed. */
import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../../../../shared/domain/clock.ts'

export class VirtualTime implements Clock {
  #now = Date.parse('2026-01-01T00:00:00Z')
  #order = 0
  readonly #timers: { at: number; order: number; wake: () => void }[] = []

  now(): Date {
    return new Date(this.#now)
  }

  sleep = (ms: number): Promise<void> =>
    new Promise((wake) => {
      this.#timers.push({ at: this.#now + ms, order: this.#order++, wake })
    })

  /** Runs until `isDone`, or throws after `limitMs` of virtual time, or when nothing is left that could happen. */
  async until(isDone: () => boolean, what: string, limitMs: number): Promise<void> {
    const deadline = this.#now + limitMs
    for (;;) {
      await setImmediate()
      if (isDone()) return
      this.#timers.sort((a, b) => a.at - b.at || a.order - b.order)
      const next = this.#timers.shift()
      if (!next) throw new Error(`nothing left to happen while waiting for ${what}`)
      if (next.at > deadline) throw new Error(`${what} did not happen within ${limitMs} ms`)
      this.#now = Math.max(this.#now, next.at)
      next.wake()
    }
  }

  /** Lets `ms` pass. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms
    let isOver = false
    void this.sleep(ms).then(() => {
      isOver = true
    })
    await this.until(() => isOver && this.#now >= end, `${ms} ms`, ms)
  }
}

/** mulberry32: numbers in [0, 1), the same for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
