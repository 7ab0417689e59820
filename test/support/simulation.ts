/** Random lives in worlds that share one local DynamoDB. */
import fc from 'fast-check'
import { afterAll, beforeAll, it } from 'vitest'
import { startTables } from './local-tables.ts'

type Tables = Awaited<ReturnType<typeof startTables>>

/** Milliseconds that all lives together may take, and their shrinking when one fails: twenty times what they take undisturbed. */
const limitOf = (runs: number) => Math.max(120_000, runs * 10_000)

/** What fast-check told of the life to be played again, when one is. */
function replayed(): { readonly seed?: number; readonly path?: string } {
  const { SIMULATION_SEED: seed, SIMULATION_PATH: path } = process.env
  return { ...(seed ? { seed: Number(seed) } : {}), ...(path ? { path } : {}) }
}

/**
 * A test that plays `runs` random lives, or as many as SIMULATION_RUNS says. A life that fails is shrunk no longer than the time there is, so
 * that its seed and path are told and not that the test took too long. `examples` are played first and count as runs. SIMULATION_SEED and
 * SIMULATION_PATH play one again.
 */
export function simulation<T>(
  name: string,
  steps: fc.Arbitrary<T>,
  defaultRuns: number,
  life: (steps: T, tables: Tables) => Promise<void>,
  examples: readonly T[] = [],
): void {
  const numRuns = Number(process.env.SIMULATION_RUNS ?? defaultRuns)
  const limitMs = limitOf(numRuns)
  let tables: Tables
  beforeAll(async () => {
    tables = await startTables()
  })
  afterAll(() => tables.close())

  it(name, { timeout: limitMs + 60_000 }, () =>
    fc.assert(
      fc.asyncProperty(steps, (given) => life(given, tables)),
      {
        numRuns,
        ...replayed(),
        examples: examples.map((example) => [example]),
        plugins: [fc.interruptAfterTimeLimit(limitMs, { failOnInterrupt: true })],
      },
    ),
  )
}
