/** Who asks: the member that a verified token names. Every operation takes it as an argument; the team never comes from a body. */
import * as z from 'zod'

/**
 * A team id is part of RunTask's `startedBy` (`[A-Za-z0-9_/-]`, at most 128 characters with record and generation), of key
 * names and of secret names, so it is narrower than what the existing server could issue.
 */
export const TeamIdSchema = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 letters, digits, "_" or "-"')

/** Part of key names, hence no spaces, control characters or `#`. */
export const UserIdSchema = z
  .string()
  .regex(/^[^\s#\p{Cc}]{1,128}$/u, 'must be 1 to 128 visible characters without "#"')

export const ActorSchema = z.object({ userId: UserIdSchema, teamId: TeamIdSchema })
export type Actor = z.infer<typeof ActorSchema>
