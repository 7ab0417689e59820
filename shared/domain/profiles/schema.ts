import * as z from 'zod'

/** Longer names are cut for display by nobody, so they are refused at the door. Characters. */
const MAX_NAME_CHARS = 200

export const ProfileSchema = z.object({
  userId: z.string().min(1),
  teamId: z.string().min(1),
  userName: z.string().min(1).max(MAX_NAME_CHARS),
  teamName: z.string().min(1).max(MAX_NAME_CHARS).optional(),
  /** The team's repository; null when it has none. */
  repositoryUrl: z.string().min(1).max(2048).nullable(),
  /** False: nobody could be asked, the name is the id and the repository is not known to be absent. */
  known: z.boolean(),
})
/** A member as the existing server knows it. */
export type Profile = z.infer<typeof ProfileSchema>

export const CachedProfileSchema = z.object({ profile: ProfileSchema, fetchedAt: z.iso.datetime() })
export type CachedProfile = z.infer<typeof CachedProfileSchema>
