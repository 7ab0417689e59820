/** Durations kept per function for percentiles. */
const KEPT_DURATIONS = 1_000

/** What happened to one function since the start. */
export interface FunctionMetrics {
  readonly invocations: number
  readonly errors: number
  readonly throttles: number
  readonly coldStarts: number
  /** Sum and maximum of initializations, in milliseconds. */
  readonly initDurationMs: { readonly sum: number; readonly max: number }
  /** Of the last 1,000 invocations, in milliseconds, oldest first; without initialization. */
  readonly durationsMs: readonly number[]
  /** The most invocations at once. */
  readonly maxConcurrency: number
}

/** Counts for one function. */
export class FunctionCounters implements FunctionMetrics {
  invocations = 0
  errors = 0
  throttles = 0
  coldStarts = 0
  maxConcurrency = 0
  readonly initDurationMs = { sum: 0, max: 0 }
  readonly durationsMs: number[] = []

  coldStart(durationMs: number): void {
    this.coldStarts++
    this.initDurationMs.sum += durationMs
    this.initDurationMs.max = Math.max(this.initDurationMs.max, durationMs)
  }

  invoked(durationMs: number, ok: boolean): void {
    this.invocations++
    if (!ok) this.errors++
    if (this.durationsMs.push(durationMs) > KEPT_DURATIONS) this.durationsMs.shift()
  }
}
