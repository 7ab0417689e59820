import type { SyncReport } from '../../../shared/contracts/link.ts'

/** Bounds of `SyncReportSchema`. */
const MAX = { detail: 500, rescued: 10, skipped: 20, branch: 255, path: 1024, why: 200 } as const

/** Branches that were rescued and not told yet are kept up to this many; the newest count. */
const MAX_UNTOLD = 100

/**
 * What the control plane is told of the repository: each report once, and nothing when nothing has changed. What was told just before
 * the link was lost is told again, because nobody acknowledges it.
 */
export class Reports {
  readonly #send: (report: SyncReport) => boolean
  readonly #explain: (text: string) => string
  readonly #unsureMs: number
  #latest: SyncReport | undefined
  #told: { readonly text: string; readonly at: number; readonly rescued: readonly string[] } | undefined
  #untold: readonly string[] = []

  /** `send` hands a report to the link, false when it is down; `explain` makes texts fit for members. */
  constructor(options: {
    readonly send: (report: SyncReport) => boolean
    readonly explain: (text: string) => string
    readonly unsureMs: number
  }) {
    this.#send = options.send
    this.#explain = options.explain
    this.#unsureMs = options.unsureMs
  }

  /** The newest report, without what was rescued. */
  get latest(): SyncReport | undefined {
    return this.#latest
  }

  add({ rescued = [], ...report }: SyncReport): void {
    this.#latest = {
      state: report.state,
      ...(report.branch === undefined ? {} : { branch: report.branch.slice(0, MAX.branch) }),
      ...(report.commit === undefined ? {} : { commit: report.commit }),
      ...(report.detail === undefined ? {} : { detail: this.#explain(report.detail).slice(0, MAX.detail) }),
      ...(report.skipped === undefined
        ? {}
        : {
            skipped: report.skipped
              .slice(0, MAX.skipped)
              .map(({ path, why }) => ({ path: path.slice(0, MAX.path), why: why.slice(0, MAX.why) })),
          }),
    }
    this.#untold = [...this.#untold, ...rescued].slice(-MAX_UNTOLD)
    this.#tell()
  }

  /** The link is up: the newest report is told to whoever is there now. */
  linkUp(): void {
    this.#told = undefined
    this.#tell()
  }

  /** The link was lost, and with it perhaps what was told last. */
  linkLost(): void {
    if (this.#told !== undefined && performance.now() - this.#told.at < this.#unsureMs)
      this.#untold = [...new Set([...this.#told.rescued, ...this.#untold])].slice(-MAX_UNTOLD)
  }

  #tell(): void {
    if (this.#latest === undefined) return
    const text = JSON.stringify(this.#latest)
    while (this.#told?.text !== text || this.#untold.length > 0) {
      const rescued = this.#untold.slice(0, MAX.rescued)
      if (!this.#send({ ...this.#latest, ...(rescued.length > 0 ? { rescued } : {}) })) return
      this.#untold = this.#untold.slice(rescued.length)
      this.#told = { text, at: performance.now(), rescued }
    }
  }
}
