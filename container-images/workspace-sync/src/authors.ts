import { randomUUID } from 'node:crypto'
import type { LinkUp } from '../../../shared/contracts/link.ts'
import type { Author } from './git/types.ts'

/** Asks the control plane who has worked in the workspace. No answer means that nobody is named; commits never wait for it. */
export class Authors {
  readonly #send: (message: LinkUp) => boolean
  readonly #patienceMs: number
  readonly #waiting = new Map<string, (authors: readonly Author[]) => void>()

  /** `send` hands a message to the link, false when it is down. */
  constructor(send: (message: LinkUp) => boolean, patienceMs: number) {
    this.#send = send
    this.#patienceMs = patienceMs
  }

  /** Resolves within the patience. */
  ask(since: Date): Promise<readonly Author[]> {
    const id = randomUUID()
    if (!this.#send({ action: 'link', type: 'ask-authors', id, since: since.toISOString() })) return Promise.resolve([])
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.answered(id, []), this.#patienceMs)
      this.#waiting.set(id, (authors) => {
        clearTimeout(timer)
        resolve(authors)
      })
    })
  }

  /** An answer came; one that nobody waits for any more changes nothing. */
  answered(id: string, authors: readonly Author[]): void {
    this.#waiting.get(id)?.(authors)
    this.#waiting.delete(id)
  }
}
