import { AwsError } from '../common/aws-error.ts'
import type { ExecutionEnvironment, Outcome } from './execution-environment.ts'
import type { Starter, StartGate } from './start-gate.ts'

/** Why an invocation got no environment: the `Reason` member of Lambda's 429. */
export type ThrottleReason = 'ReservedFunctionConcurrentInvocationLimitExceeded' | 'ConcurrentInvocationLimitExceeded'

/** Counts invocations over all functions, as an account's concurrency does. */
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
  /** The most invocations of the function at once, those included that wait for an environment; undefined: the account's. */
  readonly reserved: number | undefined
  readonly account: ConcurrencyLimit
  /** The most environments of the function: this machine's limit. */
  readonly environments: number
  readonly gate: StartGate
  /** An idle environment is ended after this time. */
  readonly idleTtlMs: number
  readonly create: () => ExecutionEnvironment
  /** Told how long an initialization took. */
  readonly onColdStart: (durationMs: number) => void
}

/** An invocation without an environment; it is given one, or the outcome of an initialization that failed. */
interface Waiter {
  readonly resolve: (got: ExecutionEnvironment | Outcome) => void
  readonly reject: (reason: Error) => void
  /** It has waited long enough for another environment to be started. */
  isImpatient: boolean
}

/**
 * Milliseconds to wait for an environment that runs before another is started: a start takes some 300 ms of a core, and code
 * that is new runs several times slower than code that has run a hundred times.
 */
const PATIENCE_MS = 100

/**
 * The execution environments of one function. The one used last is used first, so that the others can be reaped. An invocation
 * that finds none idle waits, first come first served, for the first that is: one that has ended its invocation, or one that
 * has been started because somebody waited too long.
 */
export class EnvironmentPool implements Starter {
  readonly #options: PoolOptions
  readonly #all = new Set<ExecutionEnvironment>()
  readonly #idle: { environment: ExecutionEnvironment; reaper: NodeJS.Timeout }[] = []
  readonly #waiting: Waiter[] = []
  #starting = 0
  #busy = 0
  #closed = false

  constructor(options: PoolOptions) {
    this.#options = options
  }

  /** Places taken: invocations that run or wait for an environment. */
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
    const { reserved, account } = this.#options
    return (reserved === undefined || this.#busy < reserved) && !account.full
  }

  /** Takes a place under both limits. Throws `TooManyRequestsException` (429) when there is none. */
  take(): void {
    const { reserved, account } = this.#options
    if (reserved !== undefined && this.#busy >= reserved)
      throw tooManyRequests('ReservedFunctionConcurrentInvocationLimitExceeded')
    if (account.full) throw tooManyRequests('ConcurrentInvocationLimitExceeded')
    account.take()
    this.#busy++
  }

  /** Gives the place back. */
  release(): void {
    this.#busy--
    this.#options.account.release()
  }

  /** Runs `use` in an environment, on a place that `take` has taken. Rejects when the pool is ended before there is one. */
  async run(use: (environment: ExecutionEnvironment) => Promise<Outcome>): Promise<Outcome> {
    const got = this.#reuse() ?? (await this.#next())
    if ('ok' in got) return got
    const outcome = await use(got)
    if (got.alive) this.#offer(got)
    else if (this.#all.has(got)) await got.exited
    return outcome
  }

  get wantsStart(): boolean {
    const impatient = this.#waiting.filter(({ isImpatient }) => isImpatient).length
    return !this.#closed && impatient > this.#starting && this.#all.size < this.#options.environments
  }

  get hasNone(): boolean {
    return this.#all.size === 0
  }

  async start(): Promise<void> {
    const created = this.#options.create()
    this.#all.add(created)
    this.#starting++
    void created.exited.then(() => this.#forget(created))
    const startedAt = performance.now()
    const initialized = await created.initialized
    this.#starting--
    this.#options.onColdStart(performance.now() - startedAt)
    if (initialized.ok) return this.#offer(created)
    await created.terminate()
    this.#waiting.shift()?.resolve(initialized)
  }

  /** Ends every environment. Who waits for one is told. */
  async terminate(): Promise<void> {
    this.#closed = true
    for (const { reject } of this.#waiting.splice(0)) reject(new Error('The local Lambda is closed'))
    for (const { reaper } of this.#idle.splice(0)) clearTimeout(reaper)
    await Promise.all([...this.#all].map((environment) => environment.terminate()))
  }

  #next(): Promise<ExecutionEnvironment | Outcome> {
    return new Promise((resolve, reject) => {
      const patience = setTimeout(() => {
        waiter.isImpatient = true
        this.#options.gate.request(this)
      }, PATIENCE_MS)
      const waiter: Waiter = {
        resolve: (got) => {
          clearTimeout(patience)
          resolve(got)
        },
        reject: (reason) => {
          clearTimeout(patience)
          reject(reason)
        },
        isImpatient: this.#all.size === 0,
      }
      this.#waiting.push(waiter)
      if (waiter.isImpatient) this.#options.gate.request(this)
    })
  }

  #reuse(): ExecutionEnvironment | undefined {
    for (;;) {
      const entry = this.#idle.pop()
      if (!entry) return undefined
      clearTimeout(entry.reaper)
      if (entry.environment.alive) return entry.environment
    }
  }

  /** Gives a free environment to who has waited longest, or keeps it. */
  #offer(environment: ExecutionEnvironment): void {
    const waiter = this.#waiting.shift()
    if (waiter) {
      waiter.resolve(environment)
      return
    }
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
    if (position >= 0) {
      clearTimeout(this.#idle[position]?.reaper)
      this.#idle.splice(position, 1)
    }
    // There is room for another, for which somebody may be waiting.
    this.#options.gate.request(this)
  }
}

function tooManyRequests(reason: ThrottleReason): AwsError {
  return new AwsError('TooManyRequestsException', 'Rate Exceeded.', { statusCode: 429, fields: { Reason: reason } })
}
