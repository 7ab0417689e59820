/** A rate limit as AWS keeps it: a bucket of tokens that fills up again with time. */
export interface TokenBucket {
  /** Takes a token. False when there is none: the call is to be throttled. */
  take(): boolean
}

/** A full bucket of `burst` tokens to which `perSecond` are added each second. */
export function createTokenBucket(options: {
  readonly burst: number
  readonly perSecond: number
  readonly now: () => number
}): TokenBucket {
  const { burst, perSecond, now } = options
  let tokens = burst
  let filledAt = now()
  return {
    take() {
      const at = now()
      tokens = Math.min(burst, tokens + ((at - filledAt) / 1_000) * perSecond)
      filledAt = at
      if (tokens < 1) return false
      tokens -= 1
      return true
    },
  }
}
