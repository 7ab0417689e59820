import * as z from 'zod'
import type { ProfileSource } from '../../domain/profiles/ports.ts'
import { type Profile, ProfileSchema } from '../../domain/profiles/schema.ts'
import { createExistingServer } from './client.ts'

/** Milliseconds: names are wanted by a spawn, which has to answer well within a second. */
const TIMEOUT_MS = 700

const name = ProfileSchema.shape.userName
/** `GET /api/auth/me`: the fields that are read. Characters that would break a line of a log or a list become spaces. */
const MeSchema = z.object({
  user: z.object({ id: z.string().min(1), name: name.transform(oneLine) }),
  team: z.object({
    id: z.string().min(1),
    name: name.transform(oneLine).optional().catch(undefined),
    repositoryUrl: z
      .string()
      .max(2048)
      .nullish()
      .transform((url) => url?.trim() || null),
  }),
})

function oneLine(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ').trim()
}

const profileOf = ({ user, team }: z.infer<typeof MeSchema>): Profile => ({
  userId: user.id,
  teamId: team.id,
  userName: user.name || user.id,
  ...(team.name ? { teamName: team.name } : {}),
  repositoryUrl: team.repositoryUrl,
  known: true,
})

/** The profile in an answer of `GET /api/auth/me`; undefined when there is none that fits. */
export function profileFromMe(answer: unknown): Profile | undefined {
  const me = MeSchema.safeParse(answer)
  return me.success ? profileOf(me.data) : undefined
}

/** Names and the team's repository from the existing server. @throws Unavailable, Unauthorized, Forbidden and the like. */
export function createProfileSource(baseUrl: string): ProfileSource {
  const server = createExistingServer(baseUrl)
  return {
    async fetch(_actor, token) {
      return profileOf(
        await server.call({
          method: 'GET',
          path: '/api/auth/me',
          token,
          answer: MeSchema,
          timeoutMs: TIMEOUT_MS,
        }),
      )
    },
  }
}
