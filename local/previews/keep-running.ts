import { setTimeout as sleep } from 'node:timers/promises'

/** A program under way. */
export interface Running {
  /** The port it listens on; rejects when it ends before it listens. */
  readonly port: Promise<number>
  readonly exited: Promise<number>
  stop(): Promise<void>
}

/** What is kept running. */
export interface Kept {
  /** The port of the program that runs now, or of the next one when it is being started again. */
  port(): Promise<number>
  stop(): Promise<void>
}

/** Milliseconds before a program that has ended is started again: the first time, and at most. */
const BACK_OFF = { firstMs: 200, mostMs: 10_000 } as const
/** A program that has run for so long is started again at once. */
const STEADY_MS = 30_000

/**
 * Starts a program again whenever it ends, as an ECS service does, and with growing breaks when it ends at once. Rejects when the first
 * one does not come to listen: then something is wrong that a repetition does not mend.
 */
export async function keepRunning(
  start: () => Promise<Running>,
  onEnd: (exitCode: number, nextInMs: number) => void,
): Promise<Kept> {
  const stopping = new AbortController()
  let current = await start()
  await current.port
  let port = current.port

  async function startNext(): Promise<void> {
    current = await start()
    if (stopping.signal.aborted) await current.stop()
  }

  async function watch(): Promise<void> {
    let backOffMs: number = BACK_OFF.firstMs
    for (;;) {
      const since = performance.now()
      const exitCode = await current.exited
      if (stopping.signal.aborted) return
      if (performance.now() - since > STEADY_MS) backOffMs = BACK_OFF.firstMs
      onEnd(exitCode, backOffMs)
      const next = sleep(backOffMs, undefined, { signal: stopping.signal }).then(startNext)
      port = next.then(() => current.port)
      // Whoever waits for it is told; nobody may be waiting.
      port.catch(() => {})
      backOffMs = Math.min(2 * backOffMs, BACK_OFF.mostMs)
      await next
    }
  }

  const watched = watch().catch((error: unknown) => {
    if (!stopping.signal.aborted) throw error
  })
  // A start that fails, which is no end of a program, is a defect: it must not pass in silence.
  watched.catch((error: unknown) => console.error('The preview gateway cannot be started again:', error))
  return {
    port: () => port,
    async stop() {
      stopping.abort()
      await current.stop()
      await watched
    },
  }
}
