import { Backoff } from '../../common/src/backoff.ts'
import type { Log } from '../../common/src/log.ts'
import type { WorkspaceSync } from './git/types.ts'
import type { SyncTimings } from './sync-timings.ts'

export type RoundsState = 'preparing' | 'waiting' | 'working' | 'finishing' | 'ended'

type RoundTimings = Pick<SyncTimings, 'roundEveryMs' | 'soonMs' | 'prepareMinMs' | 'prepareMaxMs'>

/**
 * When the engine works: it prepares until that succeeds, then does a round every interval and sooner when asked, and at the end
 * finishes. Nothing that goes wrong in one round ends the series.
 */
export class Rounds {
  readonly #engine: Pick<WorkspaceSync, 'prepare' | 'round' | 'finish'>
  readonly #timings: RoundTimings
  readonly #log: Log
  #state: RoundsState = 'preparing'
  #stopped = false
  #prepared = false
  #since = performance.now()
  #rounds = 0
  /** When the next round begins, by `performance.now()`. */
  #due = Number.POSITIVE_INFINITY
  #wake: (() => void) | undefined
  #loop: Promise<void> | undefined

  constructor(engine: Pick<WorkspaceSync, 'prepare' | 'round' | 'finish'>, timings: RoundTimings, log: Log) {
    this.#engine = engine
    this.#timings = timings
    this.#log = log
  }

  get state(): RoundsState {
    return this.#state
  }

  /** Milliseconds since the state last changed. */
  get inStateMs(): number {
    return performance.now() - this.#since
  }

  /** Rounds done so far. */
  get count(): number {
    return this.#rounds
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  /** Something is to be committed: the next round begins soon. One that is under way may miss it, so another follows. */
  soon(): void {
    this.#due = Math.min(this.#due, performance.now() + this.#timings.soonMs)
    this.#wake?.()
  }

  /** Ends the series with a last commit and push, as far as there is a workspace. Resolves by `deadline`, or a little later. */
  async finish(deadline: Date): Promise<void> {
    this.#stopped = true
    this.#wake?.()
    if (this.#prepared) {
      // It cuts off a round that is under way.
      this.#enter('finishing')
      await this.#engine.finish(deadline)
    }
    this.#enter('ended')
  }

  async #run(): Promise<void> {
    const backoff = new Backoff(this.#timings.prepareMinMs, this.#timings.prepareMaxMs)
    while (!this.#stopped && !(await this.#prepare(backoff.longestMs))) await this.#wait(backoff.next())
    while (!this.#stopped) {
      this.#enter('working')
      await this.#engine
        .round()
        .catch((error: unknown) => this.#log('ERROR', 'A round failed', { error: String(error) }))
      this.#rounds++
      if (this.#stopped) return
      this.#enter('waiting')
      await this.#wait(this.#timings.roundEveryMs)
    }
  }

  async #prepare(againWithinMs: number): Promise<boolean> {
    this.#enter('preparing')
    try {
      await this.#engine.prepare(againWithinMs)
      this.#prepared = true
      return true
    } catch (error) {
      this.#log('WARN', 'The workspace could not be prepared', {
        why: error instanceof Error ? error.message : String(error),
      })
      return false
    }
  }

  #enter(state: RoundsState): void {
    this.#state = state
    this.#since = performance.now()
  }

  /** Until `ms` from now, or sooner when a round was asked for or the series is to end. */
  async #wait(ms: number): Promise<void> {
    this.#due = Math.min(this.#due, performance.now() + ms)
    for (let left = ms; !this.#stopped && left > 0; left = this.#due - performance.now())
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.max(0, this.#due - performance.now()))
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    this.#wake = undefined
    // What is asked for from here on may come too late for the round that begins now.
    this.#due = Number.POSITIVE_INFINITY
  }
}
