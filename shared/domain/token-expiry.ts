import * as z from 'zod'

const ExpirySchema = z.object({ exp: z.number().positive() })

/**
 * Milliseconds since the epoch at which a token ends by its own word; undefined for one that has no end or cannot be read. Verifies
 * nothing: for tokens that somebody has just accepted.
 */
export function tokenExpiry(token: string): number | undefined {
  const claims = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')
  try {
    const parsed = ExpirySchema.safeParse(JSON.parse(claims))
    return parsed.success ? parsed.data.exp * 1000 : undefined
  } catch {
    return undefined // no JSON, and so no token that tells its end
  }
}
