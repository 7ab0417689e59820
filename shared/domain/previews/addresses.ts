/** Addresses of previews, as members and the redirects of the API get them. */
import { PREVIEW_TICKET_TTL_MS } from '../../contracts/previews.ts'
import type { Clock } from '../clock.ts'
import type { PreviewEnvironment } from '../environments/schema.ts'
import { Unavailable } from '../errors.ts'
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

/** Lets this member in, once, within `PREVIEW_TICKET_TTL_MS`; ends in `/`, without a query. @throws as `previewOrigin`. */
export async function memberUrl(record: PreviewEnvironment, userId: string, deps: AddressDeps): Promise<string> {
  const origin = previewOrigin(record, deps)
  const exp = deps.clock.now().getTime() + PREVIEW_TICKET_TTL_MS
  const { label } = record.preview
  const ticket = { label, teamId: record.teamId, userId, exp, id: newTicketId() }
  return enterUrl(origin, issueTicket(ticket, await deps.secret()))
}
