import { createHash, randomBytes } from 'node:crypto'
import { LINK_HEADERS } from '../../../shared/contracts/link.ts'

/**
 * What the container shows when it connects: its ticket until the control plane has taken it, its own key ever after.
 * The key is made here and only its hash travels with the ticket. After a try with the ticket whose answer was lost the
 * control plane may hold the hash already, so a refusal of the ticket is then put to the test with the key.
 */
export class LinkCredential {
  readonly #environment: string
  readonly #key = randomBytes(32).toString('base64url')
  #ticket: string | undefined
  #unclear = false

  constructor(environment: string, ticket: string) {
    this.#environment = environment
    this.#ticket = ticket
  }

  /** Headers of the next upgrade request. */
  headers(): Record<string, string> {
    const common = { [LINK_HEADERS.environment]: this.#environment }
    if (this.#ticket === undefined) return { ...common, [LINK_HEADERS.authorization]: `Link ${this.#key}` }
    return {
      ...common,
      [LINK_HEADERS.authorization]: `Ticket ${this.#ticket}`,
      [LINK_HEADERS.keyHash]: createHash('sha256').update(this.#key).digest('hex'),
    }
  }

  /** The control plane took the credential: the ticket is used up and forgotten. */
  accepted(): void {
    this.#ticket = undefined
  }

  /** No clear answer came (network error, timeout, 5xx): the ticket may or may not be used up. */
  unclear(): void {
    this.#unclear = true
  }

  /** The control plane refused (401, 403). True when that is final, false when the key is worth a try. */
  refused(): boolean {
    if (this.#ticket === undefined || !this.#unclear) return true
    this.#ticket = undefined
    return false
  }
}
