/** The existing server's tokens: HS256, claims `userId`, `teamId`, `iat`, `exp`; no issuer, audience or key id. */
import { errors, jwtVerify } from 'jose'
import { type Actor, ActorSchema } from '../domain/actor.ts'

/** A token of the existing server is some 200 characters. */
const MAX_TOKEN_CHARS = 8192

export type TokenVerifier = (token: string) => Promise<Actor | undefined>

/**
 * Undefined: not a token, expired, signed otherwise or for something else than a member of a team.
 * @throws when the secret cannot be had: that says nothing about the token and must not look like a bad one.
 */
export function createTokenVerifier(secret: () => Promise<string>): TokenVerifier {
  return async (token) => {
    if (token === '' || token.length > MAX_TOKEN_CHARS) return undefined
    const key = new TextEncoder().encode(await secret())
    try {
      const { payload } = await jwtVerify(token, key, { algorithms: ['HS256'], requiredClaims: ['exp'] })
      return ActorSchema.safeParse(payload).data
    } catch (error) {
      if (error instanceof errors.JOSEError) return undefined
      throw error
    }
  }
}
