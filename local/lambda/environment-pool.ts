import { AwsError } from '../common/aws-error.ts'
import type { ExecutionEnvironment, Outcome } from './execution-environment.ts'

/** Why an invocation got no environment: the `Reason` member of Lambda's 429. */
export type ThrottleReason = 'ReservedFunctionConcurrentInvocationLimitExceeded' | 'ConcurrentInvocationLimitExceeded'

/** Counts environments over all functions, as an account's concurrency does. */
export class ConcurrencyLimit {
  readonly limit: number
  #used = 0
  constructor(limit: number) {
    this.limit = limit
  }
  get used(): number {
    return this.#used
  }
  get full(): boolean {
    return this.#used >= this.limit
  }
  take(): void {
    this.#used++
  }
  release(): void {
    this.#used--
  }
}

/** What a pool is made with. */
export interface PoolOptions {
  /** The most invocations of the function at once. */
  readonly limit: number
  /** Whether `limit` is reserved concurrency, which is only a question of the error's reason. */
  readonly reserved: boolean
  readonly account: ConcurrencyLimit
  /** An idle environment is ended after this time. */
  readonly idleTtlMs: number
  readonly create: () => ExecutionEnvironment
}

/**
 * The execution environments of one function. The one used last is used first, so that the others can be reaped.
 * Busy environments never exceed the limits; idle ones do not count, and there are at most as many as were ever busy.
 */
export class EnvironmentPool {
  readonly #options: PoolOptions
  readonly #all = new Set<ExecutionEnvironment>()
  readonly #idle: { environment: ExecutionEnvironment; reaper: NodeJS.Timeout }[] = []
  #busy = 0

  constructor(options: PoolOptions) {
    this.#options = options
  }

  get busy(): number {
    return this.#busy
  }

  get size(): number {
    return this.#all.size
  }

  get environments(): Iterable<ExecutionEnvironment> {
    return this.#all
  }

  /** Whether `take` would find a place. */
  get hasPlace(): boolean {
    return this.#busy < this.#options.limit && !this.#options.account.full
  }

  /** Takes a place under both limits. Throws `TooManyRequestsException` (429) when there is none. */
  take(): void {
    const { limit, reserved, account } = this.#options
    if (this.#busy >= limit)
      throw tooManyRequests(
        reserved ? 'ReservedFunctionConcurrentInvocationLimitExceeded' : 'ConcurrentInvocationLimitExceeded',
      )
    if (account.full) throw tooManyRequests('ConcurrentInvocationLimitExceeded')
    account.take()
    this.#busy++
  }

  /** Gives the place back. */
  release(): void {
    this.#busy--
    this.#options.account.release()
  }

  /** Runs `use` in an idle environment or a new one, on a place that `take` has taken. */
  async run(
    use: (environment: ExecutionEnvironment) => Promise<Outcome>,
    onColdStart: (durationMs: number) => void,
  ): Promise<Outcome> {
    const environment = this.#reuse()
    if (environment) return this.#runIn(environment, use)
    const created = this.#options.create()
    this.#all.add(created)
    void created.exited.then(() => this.#forget(created))
    const startedAt = performance.now()
    const initialized = await created.initialized
    onColdStart(performance.now() - startedAt)
    if (!initialized.ok) {
      await created.terminate()
      return initialized
    }
    return this.#runIn(created, use)
  }

  /** Ends every environment. */
  async terminate(): Promise<void> {
    for (const { reaper } of this.#idle.splice(0)) clearTimeout(reaper)
    await Promise.all([...this.#all].map((environment) => environment.terminate()))
  }

  async #runIn(
    environment: ExecutionEnvironment,
    use: (environment: ExecutionEnvironment) => Promise<Outcome>,
  ): Promise<Outcome> {
    const outcome = await use(environment)
    if (environment.alive) this.#keep(environment)
    else if (this.#all.has(environment)) await environment.exited
    return outcome
  }

  #reuse(): ExecutionEnvironment | undefined {
    for (;;) {
      const entry = this.#idle.pop()
      if (!entry) return undefined
      clearTimeout(entry.reaper)
      if (entry.environment.alive) return entry.environment
    }
  }

  #keep(environment: ExecutionEnvironment): void {
    const reaper = setTimeout(() => {
      const position = this.#idle.findIndex((entry) => entry.environment === environment)
      if (position >= 0) this.#idle.splice(position, 1)
      void environment.terminate()
    }, this.#options.idleTtlMs)
    reaper.unref()
    this.#idle.push({ environment, reaper })
  }

  #forget(environment: ExecutionEnvironment): void {
    this.#all.delete(environment)
    const position = this.#idle.findIndex((entry) => entry.environment === environment)
    if (position < 0) return
    clearTimeout(this.#idle[position]?.reaper)
    this.#idle.splice(position, 1)
  }
}

function tooManyRequests(reason: ThrottleReason): AwsError {
  return new AwsError('TooManyRequestsException', 'Rate Exceeded.', { statusCode: 429, fields: { Reason: reason } })
}
