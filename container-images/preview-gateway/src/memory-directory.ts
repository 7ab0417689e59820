import type { PreviewDirectoryItem } from '../../../shared/contracts/previews.ts'
import type { PreviewDirectory } from './directory.ts'

/** A directory in memory, for tests and the bench: what was asked of it can be read. */
export class MemoryDirectory implements PreviewDirectory {
  readonly items = new Map<string, PreviewDirectoryItem>()
  readonly redeemed = new Set<string>()
  readonly visits: string[] = []
  readonly wakes: string[] = []
  lookups = 0
  /** While set, every call rejects with it. */
  failure: Error | undefined

  async lookup(label: string): Promise<PreviewDirectoryItem | undefined> {
    this.lookups += 1
    this.#check()
    return this.items.get(label)
  }

  async redeem(ticketId: string): Promise<boolean> {
    this.#check()
    if (this.redeemed.has(ticketId)) return false
    this.redeemed.add(ticketId)
    return true
  }

  async visited(label: string): Promise<void> {
    this.#check()
    this.visits.push(label)
  }

  async wake(label: string): Promise<void> {
    this.#check()
    this.wakes.push(label)
  }

  #check(): void {
    if (this.failure) throw this.failure
  }
}
