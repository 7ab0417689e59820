import { errors, jwtVerify, SignJWT } from 'jose'
import * as z from 'zod'

/** A team's id is also the name of its workspace's folder. */
const ClaimsSchema = z.object({ userId: z.string().min(1), teamId: z.string().regex(/^[\w-]{1,64}$/) })
/** Whom a token names. */
export type Claims = z.infer<typeof ClaimsSchema>

/**
 * A token as the existing server makes it: HS256, exactly `userId`, `teamId`, `iat`, `exp`, 24 h. The frontend decodes the payload
 * with `atob`, which base64url's own two characters would break; ids of letters, digits and dashes never lead to them.
 */
export const issueToken = ({ userId, teamId }: Claims, secret: string): Promise<string> =>
  new SignJWT({ userId, teamId })
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuedAt()
    .setExpirationTime('24h')
    .sign(new TextEncoder().encode(secret))

/** Undefined: expired, signed with another secret, or no token at all. */
export async function verifyToken(token: string, secret: string): Promise<Claims | undefined> {
  try {
    const { payload } = await jwtVerify(token, new TextEncoder().encode(secret), { algorithms: ['HS256'] })
    return ClaimsSchema.safeParse(payload).data
  } catch (error) {
    if (error instanceof errors.JOSEError) return undefined
    throw error
  }
}
