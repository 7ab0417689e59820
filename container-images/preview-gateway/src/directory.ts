import {
  PREVIEW_VISIT_INTERVAL_MS,
  PREVIEW_WAKE_INTERVAL_MS,
  type PreviewDirectoryItem,
} from '../../../shared/contracts/previews.ts'
import type { Log } from '../../common/src/log.ts'
import { BoundedMap } from './bounded-map.ts'
import type { GatewayLimits } from './limits.ts'

/** What the gateway needs of the control plane. Every call may reject when it does not answer. */
export interface PreviewDirectory {
  lookup(label: string): Promise<PreviewDirectoryItem | undefined>
  /** Uses the ticket up: true for exactly one call per id. `expiresAt`: milliseconds since the epoch. */
  redeem(ticketId: string, expiresAt: number): Promise<boolean>
  /** Notes that the preview is used now. */
  visited(label: string): Promise<void>
  /** Asks for the preview to be started. */
  wake(label: string, preview: PreviewDirectoryItem): Promise<void>
}

type Known = { readonly item: PreviewDirectoryItem | undefined; readonly at: number }

/**
 * A directory asked at most once in `lookupTtlMs` per label, whatever the traffic: answers are kept, calls under way are shared.
 * When it does not answer, what it said last is used for `lookupStaleMs`. Visits and wake-ups are reported once per interval,
 * and a report that fails is logged, repeated with the next visit, and never the visitor's trouble.
 */
export class CachedDirectory {
  readonly #directory: PreviewDirectory
  readonly #limits: GatewayLimits
  readonly #log: Log
  readonly #now: () => number
  readonly #known: BoundedMap<Known>
  readonly #underWay = new Map<string, Promise<PreviewDirectoryItem | undefined>>()
  readonly #visits: BoundedMap<number>
  readonly #wakes: BoundedMap<number>

  constructor(directory: PreviewDirectory, limits: GatewayLimits, log: Log, now: () => number) {
    this.#directory = directory
    this.#limits = limits
    this.#log = log
    this.#now = now
    this.#known = new BoundedMap(limits.lookupEntries)
    this.#visits = new BoundedMap(limits.lookupEntries)
    this.#wakes = new BoundedMap(limits.lookupEntries)
  }

  async lookup(label: string): Promise<PreviewDirectoryItem | undefined> {
    const known = this.#known.get(label)
    if (known && this.#now() - known.at < this.#limits.lookupTtlMs) return known.item
    const underWay = this.#underWay.get(label)
    if (underWay) return underWay
    const asked = this.#ask(label, known).finally(() => this.#underWay.delete(label))
    this.#underWay.set(label, asked)
    return asked
  }

  redeem(ticketId: string, expiresAt: number): Promise<boolean> {
    return this.#directory.redeem(ticketId, expiresAt)
  }

  visited(label: string): void {
    this.#report(this.#visits, label, PREVIEW_VISIT_INTERVAL_MS, 'A visit could not be noted', () =>
      this.#directory.visited(label),
    )
  }

  wake(label: string, preview: PreviewDirectoryItem): void {
    this.#report(this.#wakes, label, PREVIEW_WAKE_INTERVAL_MS, 'A preview could not be woken', async () => {
      await this.#directory.wake(label, preview)
      this.#log('INFO', 'A visit wakes a preview', { label, environmentId: preview.environmentId })
    })
  }

  async #ask(label: string, known: Known | undefined): Promise<PreviewDirectoryItem | undefined> {
    try {
      const item = await this.#directory.lookup(label)
      this.#known.set(label, { item, at: this.#now() })
      return item
    } catch (error) {
      const usable = known && this.#now() - known.at < this.#limits.lookupStaleMs
      this.#log('WARN', 'The directory does not answer', { label, usable: Boolean(usable), error: messageOf(error) })
      if (usable) return known.item
      throw error
    }
  }

  #report(
    last: BoundedMap<number>,
    label: string,
    intervalMs: number,
    failure: string,
    send: () => Promise<void>,
  ): void {
    const at = last.get(label)
    const now = this.#now()
    if (at !== undefined && now - at < intervalMs) return
    last.set(label, now)
    send().catch((error: unknown) => {
      last.set(label, Number.NEGATIVE_INFINITY)
      this.#log('WARN', failure, { label, error: messageOf(error) })
    })
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
