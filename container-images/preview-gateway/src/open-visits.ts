import type { Socket } from 'node:net'
import type { PreviewDirectoryItem } from '../../../shared/contracts/previews.ts'
import type { CachedDirectory } from './directory.ts'
import type { Closing } from './occupancy.ts'

/** A request or a WebSocket that was let through to a task. */
export type OpenVisit = {
  readonly label: string
  readonly address: string
  readonly port: number
  /** Milliseconds since the epoch, after which it is over. Undefined: it was let in because the preview is public. */
  readonly until: number | undefined
  readonly isWebSocket: boolean
  /** Cuts it. */
  readonly end: () => void
}
/** What a connection carries now. */
type Slot = { visit: OpenVisit | undefined; since: number }

/**
 * What is open, looked at again every `everyMs`: what was let in stays open for no longer than it would be let in anew. So event streams
 * and WebSockets end with the visit they belong to, when a public preview is not public any more, and when the task that they lead to is
 * not the preview's any more, be it that it went without a word. When the directory does not answer, they stay.
 */
export class OpenVisits {
  /** By connection, of which each carries one thing at a time: an entry for each request would keep what is done (see `upstream.ts`). */
  readonly #slots = new Map<Socket, Slot>()
  readonly #directory: CachedDirectory
  readonly #everyMs: number
  readonly #now: () => number
  readonly #timer: NodeJS.Timeout

  constructor(directory: CachedDirectory, everyMs: number, now: () => number) {
    this.#directory = directory
    this.#everyMs = everyMs
    this.#now = now
    this.#timer = setInterval(() => void this.#look(), everyMs).unref()
  }

  /** Open on `connection` until `closing` closes. */
  add(visit: OpenVisit, connection: Socket, closing: Closing): void {
    let slot = this.#slots.get(connection)
    if (!slot) {
      if (connection.destroyed) return
      slot = { visit: undefined, since: 0 }
      this.#slots.set(connection, slot)
      connection.on('close', () => this.#slots.delete(connection))
    }
    const taken = slot
    taken.visit = visit
    taken.since = this.#now()
    closing.on('close', () => {
      if (taken.visit === visit) taken.visit = undefined
    })
  }

  /** Ends every open WebSocket: their pages connect again, to another gateway. */
  endSockets(): void {
    for (const { visit } of this.#slots.values()) if (visit?.isWebSocket) visit.end()
  }

  /** Nothing is looked at any more. */
  close(): void {
    clearInterval(this.#timer)
  }

  async #look(): Promise<void> {
    const now = this.#now()
    const lasting = new Map<string, OpenVisit[]>()
    for (const { visit, since } of this.#slots.values()) {
      if (!visit) continue
      if (visit.until !== undefined && visit.until <= now) visit.end()
      else if (now - since >= this.#everyMs) {
        const others = lasting.get(visit.label)
        if (others) others.push(visit)
        else lasting.set(visit.label, [visit])
      }
    }
    await Promise.all([...lasting].map(([label, visits]) => this.#lookAt(label, visits)))
  }

  async #lookAt(label: string, visits: readonly OpenVisit[]): Promise<void> {
    let preview: PreviewDirectoryItem | undefined
    try {
      preview = await this.#directory.lookup(label)
    } catch {
      return // Logged by the directory.
    }
    for (const visit of visits) if (!mayStay(visit, preview)) visit.end()
  }
}

const mayStay = ({ address, port, until }: OpenVisit, preview: PreviewDirectoryItem | undefined): boolean =>
  preview?.status === 'running' &&
  preview.address === address &&
  preview.port === port &&
  (until !== undefined || preview.public)
