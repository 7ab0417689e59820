/** The HTTP API's Lambda authorizer (payload 2.0, simple response). */
import * as z from 'zod'
import type { Actor } from '../domain/actor.ts'
import { bearerToken } from './bearer-token.ts'
import { inScope } from './correlation.ts'
import { asyncFunction, type LambdaFunction } from './invocation.ts'
import { logger } from './logger.ts'
import type { TokenVerifier } from './verify-token.ts'

const AuthorizerEventSchema = z.object({
  /** The values of the authorizer's identity sources: the Authorization header. */
  identitySource: z.array(z.string()).nullish(),
  requestContext: z.object({ requestId: z.string() }),
})

/** `context` reaches the handlers as `requestContext.authorizer.lambda`. */
export type AuthorizerResult = { isAuthorized: false } | { isAuthorized: true; context: Actor }

/**
 * Refused: the gateway answers 403. No Authorization header at all: the gateway answers 401 without asking. A secret that
 * cannot be had is thrown and answered 500, because clients drop their token on 401 and tell the user to sign in on 403.
 */
export function authorizerHandler(verify: TokenVerifier): LambdaFunction<AuthorizerResult> {
  return asyncFunction('authorizer', async (given) => {
    const event = AuthorizerEventSchema.parse(given)
    const { requestId } = event.requestContext
    return inScope({ correlationId: requestId, fields: { requestId } }, async () => {
      const token = bearerToken(event.identitySource?.[0])
      const actor = token === undefined ? undefined : await verify(token)
      if (actor) return { isAuthorized: true, context: actor }
      logger.info('Token refused', { reason: token === undefined ? 'no bearer token' : 'not valid' })
      return { isAuthorized: false }
    })
  })
}
