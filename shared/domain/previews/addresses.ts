/** Addresses of previews, as members and the redirects of the API get them. */
import { PREVIEW_TICKET_TTL_MS } from '../../contracts/previews.ts'
import type { Actor } from '../actor.ts'
import type { Clock } from '../clock.ts'
import type { PreviewEnvironment } from '../environments/schema.ts'
import { Unavailable } from '../errors.ts'
import { tokenExpiry } from '../token-expiry.ts'
import { enterUrl, issueTicket, newTicketId } from './signatures.ts'

export interface AddressDeps {
  /** `https://{label}.preview.example.com`; undefined: the stage has no preview domain. */
  readonly originPattern: string | undefined
  readonly secret: () => Promise<string>
  readonly clock: Clock
}

/** @throws Unavailable on a stage without a preview domain. */
export function requirePreviewDomain({ originPattern }: Pick<AddressDeps, 'originPattern'>): string {
  if (originPattern !== undefined) return originPattern
  throw new Unavailable('Previews are not set up here: the operators have configured no preview domain', {
    retryAfterSeconds: 3600,
  })
}

/** @throws Unavailable on a stage without a preview domain. */
export const previewOrigin = ({ preview }: PreviewEnvironment, deps: Pick<AddressDeps, 'originPattern'>): string =>
  requirePreviewDomain(deps).replace('{label}', preview.label)

/** A member, and the end of the token that says so: milliseconds since the epoch. */
export interface Visitor {
  readonly userId: Actor['userId']
  readonly until: number
}

/** The bearer of a verified token. One without an end is good for nothing: the verifier refuses such tokens. */
export const visitorOf = ({ userId }: Pick<Actor, 'userId'>, token: string): Visitor => ({
  userId,
  until: tokenExpiry(token) ?? 0,
})

/**
 * Lets this member in, once, within `PREVIEW_TICKET_TTL_MS`, for no longer than the token is good: the existing server says who belongs
 * to a team, in its tokens alone, so that no visit may outlive one. Ends in `/`, without a query. @throws as `previewOrigin`.
 */
export async function memberUrl(record: PreviewEnvironment, visitor: Visitor, deps: AddressDeps): Promise<string> {
  const origin = previewOrigin(record, deps)
  const { userId, until } = visitor
  const exp = Math.min(until, deps.clock.now().getTime() + PREVIEW_TICKET_TTL_MS)
  const { label } = record.preview
  const ticket = { label, teamId: record.teamId, userId, exp, until, id: newTicketId() }
  return enterUrl(origin, issueTicket(ticket, await deps.secret()))
}
