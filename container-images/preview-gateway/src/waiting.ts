import { BoundedMap } from './bounded-map.ts'
import type { GatewayLimits } from './limits.ts'
import type { Page } from './pages.ts'

type Wait = { readonly since: number; readonly last: number }

/** Part of the wait so far that a page waits until it loads itself again: who has waited for a minute waits for 6 s more. */
const SHARE = 10

/**
 * How often pages that wait for a preview load themselves again: often at first, ever more rarely, and at last not at all. An open page
 * that nobody looks at would otherwise count as a visit, and wake a preview that has been stopped for lack of them, for ever.
 */
export class Waiting {
  readonly #waits: BoundedMap<Wait>
  readonly #limits: GatewayLimits
  readonly #now: () => number

  constructor(limits: GatewayLimits, now: () => number) {
    this.#waits = new BoundedMap(limits.lookupEntries)
    this.#limits = limits
    this.#now = now
  }

  /** The page as it is shown now; one that does not load itself again stays as it is. */
  pageFor(label: string, page: Page): Page {
    if (page.reloadSeconds === undefined) return page
    const { waitMs, reloadMs } = this.#limits
    const now = this.#now()
    const before = this.#waits.get(label)
    // A page that waits would have asked sooner: this is somebody who has just come.
    const since = before && now - before.last <= 2 * reloadMs ? before.since : now
    this.#waits.set(label, { since, last: now })
    const waited = now - since
    if (waited < waitMs) {
      const growing = Math.floor(Math.min(waited / SHARE, reloadMs) / 1000)
      return { ...page, reloadSeconds: Math.max(page.reloadSeconds, growing) }
    }
    const { reloadSeconds: _, ...rest } = page
    return { ...rest, text: `${page.text} This page has stopped looking by itself: load it again.` }
  }

  /** The preview has answered. */
  over(label: string): void {
    this.#waits.delete(label)
  }
}
