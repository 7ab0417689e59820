/** Durations kept per function for percentiles. */
const KEPT_DURATIONS = 1_000

/** What happened to one function since the start. */
export interface FunctionMetrics {
  readonly invocations: number
  readonly errors: number
  readonly throttles: number
  readonly coldStarts: number
  /** Of all initializations, in milliseconds. */
  readonly initDurationMs: { readonly sum: number; readonly max: number }
  /** Of the last 1,000 invocations, in milliseconds, without initialization. */
  readonly durationMs: { readonly p50: number; readonly p99: number; readonly max: number }
  /** The most invocations at once. */
  readonly maxConcurrency: number
}

/** Counts for one function. */
export class FunctionCounters {
  invocations = 0
  errors = 0
  throttles = 0
  coldStarts = 0
  maxConcurrency = 0
  readonly #initDurationMs = { sum: 0, max: 0 }
  readonly #durationsMs: number[] = []

  coldStart(durationMs: number): void {
    this.coldStarts++
    this.#initDurationMs.sum += durationMs
    this.#initDurationMs.max = Math.max(this.#initDurationMs.max, durationMs)
  }

  invoked(durationMs: number, ok: boolean): void {
    this.invocations++
    if (!ok) this.errors++
    if (this.#durationsMs.push(durationMs) > KEPT_DURATIONS) this.#durationsMs.shift()
  }

  snapshot(): FunctionMetrics {
    const { invocations, errors, throttles, coldStarts, maxConcurrency } = this
    const sorted = this.#durationsMs.toSorted((a, b) => a - b)
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
    const durationMs = { p50: at(0.5), p99: at(0.99), max: at(1) }
    const initDurationMs = { ...this.#initDurationMs }
    return { invocations, errors, throttles, coldStarts, maxConcurrency, initDurationMs, durationMs }
  }
}
