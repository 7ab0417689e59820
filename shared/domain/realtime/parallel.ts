/** Runs `work` when there is a place for it. */
export type Gate = <T>(work: () => Promise<T>) => Promise<T>

/** Has `limit` places for all who share it; whoever finds none waits, first come, first served. */
export function createGate(limit: number): Gate {
  let free = limit
  const waiting: (() => void)[] = []
  return async (work) => {
    if (free > 0) free--
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else free++
    }
  }
}

/** Runs `work` on every item, at most `limit` at once. Rejects with the first error once all that were begun have ended. */
export async function forEachBounded<T>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items.values()
  let failure: { error: unknown } | undefined
  const lane = async (): Promise<void> => {
    for (const item of rest) {
      try {
        await work(item)
      } catch (error) {
        failure ??= { error }
      }
      if (failure) return
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane))
  if (failure) throw failure.error
}
