/** The bundle behind the internal API: a request is looked at only when its signature is good. */
import type { Route, RouteAnswer } from '../contracts/routes.ts'
import { type Clock, systemClock } from '../domain/clock.ts'
import { bodyBytes, type HttpEvent, type HttpRequest } from './http-event.ts'
import { guardedHandler, type HttpAnswer, type HttpFunction } from './http-handler.ts'
import { verifySignature } from './signature.ts'

type SignedRoute = Route & { readonly auth: 'signature' }

/** @param secret What requests are signed with; its failure is 503 or 500, never a refusal. */
export function signedHandler<R extends SignedRoute>(
  route: R,
  secret: () => Promise<string>,
  handle: (request: HttpRequest<R>) => Promise<RouteAnswer<R> | HttpAnswer>,
  clock: Clock = systemClock,
): HttpFunction {
  const guard = async (event: HttpEvent): Promise<void> => {
    const { rawPath: path, requestContext, headers } = event
    const request = { method: requestContext.http.method, path, body: bodyBytes(event) }
    verifySignature(request, headers, await secret(), clock)
  }
  return guardedHandler(route, guard, handle)
}
