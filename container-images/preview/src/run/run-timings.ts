/** Waits of what runs a project, in milliseconds. */
export type RunTimings = {
  /** Between two looks whether the dev server takes connections: no event says so. */
  readonly probeEveryMs: number
  /** From its start to looking whether it listens somewhere else than it was told to. */
  readonly elsewhereAfterMs: number
  /** From its start to taking one that shows no page for the preview: until then, a page may be still to come. */
  readonly pageWaitMs: number
  /** A server that does not listen for longer is told of, and left alone. */
  readonly silentMs: number
  /** A server that ended sooner after its start has died quickly. */
  readonly quickDeathMs: number
  /** First and longest wait before it is started again: doubling. */
  readonly restartMinMs: number
  readonly restartMaxMs: number
  /** From SIGTERM to SIGKILL for a project's processes. */
  readonly graceMs: number
  readonly installMs: number
  /** After a change that asks for a restart: until a pass without changes, and this long at most. */
  readonly settleMs: number
}

export const RUN_TIMINGS: RunTimings = {
  probeEveryMs: 200,
  elsewhereAfterMs: 3_000,
  pageWaitMs: 20_000,
  silentMs: 120_000,
  quickDeathMs: 60_000,
  restartMinMs: 1_000,
  restartMaxMs: 30_000,
  graceMs: 5_000,
  installMs: 15 * 60_000,
  settleMs: 10_000,
}

/** Quick deaths in a row after which nothing is tried until a file changes. */
export const MAX_QUICK_DEATHS = 5
