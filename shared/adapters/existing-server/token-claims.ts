import { type Actor, ActorSchema } from '../../domain/actor.ts'

/**
 * Who a token names, without verifying it: for tokens that the authorizer has verified already, never to decide what anybody
 * may do. Undefined when it is not readable.
 */
export function claimsOf(token: string): Actor | undefined {
  const payload = token.split('.')[1] ?? ''
  try {
    return ActorSchema.safeParse(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))).data
  } catch {
    return undefined
  }
}
