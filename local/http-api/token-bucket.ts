import type { ApiStage } from './template-api.ts'

/** API Gateway's throttle: `burst` requests at once, refilled with `rate` a second. */
export class TokenBucket {
  readonly #rate: number
  readonly #burst: number
  readonly #now: () => number
  #tokens: number
  #refilledAt: number

  /** `now` gives milliseconds. */
  constructor(rate: number, burst: number, now: () => number = () => performance.now()) {
    this.#rate = rate
    this.#burst = burst
    this.#now = now
    this.#tokens = burst
    this.#refilledAt = now()
  }

  /** Takes one token; false when the request is to be refused. */
  take(): boolean {
    const now = this.#now()
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#refilledAt) / 1000) * this.#rate)
    this.#refilledAt = now
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}

/** The throttle of an API's stages. A route with settings of its own has its own bucket; the others share the stage's. */
export class StageThrottle {
  readonly #buckets = new Map<string, TokenBucket>()

  /** Takes a token for a request; false when it is over the limit. */
  take(stage: ApiStage, routeKey: string): boolean {
    const own = stage.routeThrottling.get(routeKey)
    const throttling = own ?? stage.defaultThrottling
    if (!throttling) return true
    const key = `${stage.name} ${own ? routeKey : ''}`
    const bucket = this.#buckets.get(key) ?? new TokenBucket(throttling.rateLimit, throttling.burstLimit)
    this.#buckets.set(key, bucket)
    return bucket.take()
  }
}
