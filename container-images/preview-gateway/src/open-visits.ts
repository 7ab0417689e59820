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
  /** Cuts it. */
  readonly end: () => void
}
type Entry = { readonly visit: OpenVisit; readonly since: number }

/**
 * What is open, looked at again every `everyMs`: what was let in stays open for no longer than it would be let in anew. So event streams
 * and WebSockets end with the visit they belong to, when a public preview is not public any more, and when the task that they lead to is
 * not the preview's any more, be it that it went without a word. When the directory does not answer, they stay.
 */
export class OpenVisits {
  readonly #open = new Set<Entry>()
  readonly #sockets = new Set<Entry>()
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

  addRequest(visit: OpenVisit, closing: Closing): void {
    this.#add(this.#open, visit, closing)
  }

  addSocket(visit: OpenVisit, closing: Closing): void {
    this.#add(this.#sockets, visit, closing)
  }

  /** Ends every open WebSocket: their pages connect again, to another gateway. */
  endSockets(): void {
    for (const { visit } of this.#sockets) visit.end()
  }

  /** Nothing is looked at any more. */
  close(): void {
    clearInterval(this.#timer)
  }

  #add(to: Set<Entry>, visit: OpenVisit, closing: Closing): void {
    const entry = { visit, since: this.#now() }
    to.add(entry)
    closing.on('close', () => to.delete(entry))
  }

  async #look(): Promise<void> {
    const now = this.#now()
    const lasting = new Map<string, OpenVisit[]>()
    for (const entry of [...this.#open, ...this.#sockets]) {
      const { label, until, end } = entry.visit
      if (until !== undefined && until <= now) end()
      else if (now - entry.since >= this.#everyMs) {
        const others = lasting.get(label)
        if (others) others.push(entry.visit)
        else lasting.set(label, [entry.visit])
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
