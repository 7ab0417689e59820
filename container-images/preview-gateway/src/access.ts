/** Who may see a preview: who comes with a ticket, who has its cookie, or anybody when it is public. */
import {
  PREVIEW_COOKIE_TTL_MS,
  type PreviewDirectoryItem,
  type PreviewTicket,
} from '../../../shared/contracts/previews.ts'
import { verifyTicket } from '../../../shared/domain/previews/signatures.ts'
import { OwnCookies, ownSetCookie } from './cookies.ts'
import type { CachedDirectory } from './directory.ts'
import type { GatewayLimits } from './limits.ts'

export type Visit = {
  readonly label: string
  readonly preview: PreviewDirectoryItem
  readonly cookie: string | undefined
}
/** `until`: milliseconds since the epoch, after which the visit is over; not for public previews. */
export type Admission = { readonly admitted: true; readonly until?: number } | { readonly admitted: false }
export type Entrance =
  | { readonly admitted: true; readonly setCookie?: string }
  | { readonly admitted: false; readonly why: string; readonly code: 'invalid' | 'expired' | 'other-preview' | 'used' }

export class Access {
  readonly #secret: string
  readonly #cookies: OwnCookies
  readonly #directory: CachedDirectory
  readonly #now: () => number

  constructor(secret: string, directory: CachedDirectory, limits: GatewayLimits, now: () => number) {
    this.#secret = secret
    this.#cookies = new OwnCookies(secret, limits.cookieEntries)
    this.#directory = directory
    this.#now = now
  }

  admit({ label, preview, cookie }: Visit): Admission {
    const member = this.#cookies.read(cookie, label, this.#now())
    if (member) return { admitted: true, until: member.exp }
    return { admitted: preview.public }
  }

  /**
   * A good ticket is used up and becomes a cookie. With one that is not good any more, whoever has the cookie already still comes in:
   * the frontend loads an address it was given once again and again. Rejects when the directory does not answer.
   */
  async enter(text: string, visit: Visit): Promise<Entrance> {
    const verified = verifyTicket(text, this.#secret, this.#now())
    const refusal = verified.ok ? await this.#redeem(verified.value, visit) : ENTRANCE_REFUSALS[verified.why]
    if (refusal === undefined && verified.ok) return { admitted: true, setCookie: this.#cookieFor(verified.value) }
    if (this.admit(visit).admitted) return { admitted: true }
    return refusal ?? ENTRANCE_REFUSALS.invalid
  }

  /** Undefined: it was good, and now it is used. A ticket for another preview stays unused. */
  async #redeem(ticket: PreviewTicket, { label, preview }: Visit): Promise<Entrance | undefined> {
    if (ticket.label !== label || ticket.teamId !== preview.teamId) return ENTRANCE_REFUSALS['other-preview']
    return (await this.#directory.redeem(ticket.id, ticket.exp)) ? undefined : ENTRANCE_REFUSALS.used
  }

  #cookieFor({ label, userId, until }: PreviewTicket): string {
    const now = this.#now()
    return ownSetCookie({ label, userId, exp: Math.min(until, now + PREVIEW_COOKIE_TTL_MS) }, this.#secret, now)
  }
}

const refusal = <C extends string>(code: C, why: string) => ({ admitted: false, code, why }) as const
const ENTRANCE_REFUSALS = {
  invalid: refusal('invalid', 'The address is not a valid ticket.'),
  expired: refusal('expired', 'The ticket in the address has expired.'),
  'other-preview': refusal('other-preview', 'The ticket in the address is for another preview.'),
  used: refusal('used', 'The ticket in the address was used already.'),
} as const
