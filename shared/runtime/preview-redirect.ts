/**
 * `/api/preview/proxy/<team>/<branch>/…`: where the existing server shows previews itself, and what bookmarks of it name. Here it
 * redirects to the preview's own host. A frame sends no bearer token: then the host's cookie, or that it is public, lets in.
 */
import { routes } from '../contracts/routes.ts'
import { TeamIdSchema } from '../domain/actor.ts'
import { NotFound } from '../domain/errors.ts'
import { type AddressDeps, memberUrl, previewOrigin, visitorOf } from '../domain/previews/addresses.ts'
import { findPreview, type PreviewReadDeps } from '../domain/previews/view.ts'
import { bearerToken } from './bearer-token.ts'
import { forwardHandler } from './forward-handler.ts'
import { HttpEventSchema } from './http-event.ts'
import { answer, failed, httpHandler } from './http-handler.ts'
import type { MemberDeps, MemberFunction } from './member-handler.ts'

/** The frontend appends it to whatever address it is given. It goes no further. */
const TOKEN = 'token'

/** Of `/api/preview/proxy/<team>/<branch>`, with the empty one before the first slash. */
const OWN_SEGMENTS = 6

/** The Lambda handler. The returned function never throws. */
export function previewRedirect(
  { verifyToken, isOurs, forward }: MemberDeps,
  deps: PreviewReadDeps & AddressDeps,
): MemberFunction {
  const foreign = forwardHandler(forward)
  const own = httpHandler(routes.openPreviewPath, async ({ params: { team, branch }, raw }) => {
    const record = await findPreview(team, branch, deps)
    if (!record) throw new NotFound(`There is no preview of ${branch} yet; open it from Covibes`)
    const token = bearerToken(raw.headers.authorization) ?? raw.query[TOKEN]
    const actor = token === undefined ? undefined : await verifyToken(token)
    const root =
      token !== undefined && actor?.teamId === team
        ? await memberUrl(record, visitorOf(actor, token), deps)
        : `${previewOrigin(record, deps)}/`
    const path = raw.path.split('/').slice(OWN_SEGMENTS).map(encodeURIComponent).join('/')
    return answer(302, undefined, {
      location: `${root}${path}${withoutToken(raw.queryString)}`,
      'referrer-policy': 'no-referrer',
    })
  })

  return async (given, context) => {
    const event = HttpEventSchema.safeParse(given).data
    const teamId = TeamIdSchema.safeParse(event?.pathParameters.team).data
    if (!event || teamId === undefined) return foreign(given, context)
    try {
      return (await isOurs({ teamId })) ? await own(given, context) : await foreign(given, context)
    } catch (error) {
      return failed(error, event.requestContext.requestId)
    }
  }
}

/** The query as it was written, without that parameter; with its `?` when anything is left. */
function withoutToken(query: string): string {
  const rest = query.split('&').filter((pair) => pair !== '' && !new URLSearchParams(pair).has(TOKEN))
  return rest.length === 0 ? '' : `?${rest.join('&')}`
}
