/**
 * The bundle behind routes that are ours for teams on containers and the existing server's for all others. The authorizer does
 * not stand before them: whether a token is good is for the server to say that the request goes to.
 */
import type { Context } from 'aws-lambda'
import type { Route, RouteAnswer } from '../contracts/routes.ts'
import type { Actor } from '../domain/actor.ts'
import { ForwardingFailed } from '../domain/forwarding/errors.ts'
import type { Forward, ForwardedAnswer } from '../domain/forwarding/ports.ts'
import { bearerToken } from './bearer-token.ts'
import { type ForwardResult, forwardHandler } from './forward-handler.ts'
import { type HttpEvent, HttpEventSchema, type HttpRequest } from './http-event.ts'
import { failed, type HttpAnswer, type HttpResult, httpHandler } from './http-handler.ts'
import type { TokenVerifier } from './verify-token.ts'

export interface MemberDeps {
  readonly verifyToken: TokenVerifier
  /** Whether the control plane answers for this team. */
  readonly isOurs: (actor: Pick<Actor, 'teamId'>) => Promise<boolean>
  readonly forward: Forward
}

type MemberRoute = Route & { readonly auth: 'member' }
export type MemberFunction = (event: unknown, context: Context) => Promise<HttpResult | ForwardResult>

/** The Lambda handler of such a route. The returned function never throws. */
export function memberHandler<R extends MemberRoute>(
  route: R,
  { verifyToken, isOurs, forward }: MemberDeps,
  handle: (request: HttpRequest<R>) => Promise<RouteAnswer<R> | HttpAnswer>,
): MemberFunction {
  const own = httpHandler(route, handle)
  const foreign = forwardHandler(forward)

  return async (given, context) => {
    const event = HttpEventSchema.safeParse(given).data
    if (!event) return foreign(given, context)
    try {
      const { authorization } = event.headers
      const token = bearerToken(authorization)
      const actor = token === undefined ? undefined : await verifyToken(token)
      if (actor && (await isOurs(actor))) return await own(asAuthorized(event, actor), context)
      const judged = actor ? foreign : forwardHandler(orRefused(forward, authorization === undefined))
      return await judged(given, context)
    } catch (error) {
      return failed(error, event.requestContext.requestId)
    }
  }
}

/** The event as it comes from behind the authorizer; whatever a client may have put there is gone. */
const asAuthorized = (event: HttpEvent, actor: Actor): HttpEvent => ({
  ...event,
  requestContext: { ...event.requestContext, authorizer: { lambda: actor } },
})

/** Without an existing server there is nobody else to judge the token: refused as the platform's authorizer does. */
function orRefused(forward: Forward, isMissing: boolean): Forward {
  return async (request, options) => {
    try {
      return await forward(request, options)
    } catch (error) {
      if (!(error instanceof ForwardingFailed) || error.failure !== 'not-configured') throw error
      return isMissing ? refusal(401, 'Unauthorized') : refusal(403, 'Forbidden')
    }
  }
}

const refusal = (status: number, message: string): ForwardedAnswer => ({
  status,
  headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
  cookies: [],
  body: Buffer.from(JSON.stringify({ message })),
})
