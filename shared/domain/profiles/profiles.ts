import type { Actor } from '../actor.ts'
import type { Clock } from '../clock.ts'
import type { ProfileCache, ProfileLog, ProfileSource, Profiles } from './ports.ts'
import type { CachedProfile, Profile } from './schema.ts'

/** Milliseconds a cached profile is taken as it is: how late a new name or repository is noticed. */
export const PROFILE_FRESH_MS = 5 * 60_000
/** Milliseconds a cached profile is better than none. */
export const PROFILE_STALE_MS = 24 * 60 * 60_000

export interface ProfileDeps {
  readonly cache: ProfileCache
  /** Absent: this stage has no existing server. */
  readonly source?: ProfileSource
  readonly clock: Clock
  readonly log: ProfileLog
}

/** What is known from the token alone. */
export const profileFromIds = ({ userId, teamId }: Actor): Profile => ({
  userId,
  teamId,
  userName: userId,
  repositoryUrl: null,
  known: false,
})

export function createProfiles({ cache, source, clock, log }: ProfileDeps): Profiles {
  /** A cache that cannot be read or written is slower, not wrong. */
  async function cached(actor: Actor): Promise<CachedProfile | undefined> {
    try {
      const found = await cache.get(actor.userId)
      // A member who has changed teams must not carry the other team's repository along.
      return found?.profile.teamId === actor.teamId ? found : undefined
    } catch (error) {
      log.warn('Profile cache not read', { userId: actor.userId, error })
      return undefined
    }
  }

  async function remember(profile: Profile): Promise<void> {
    const now = clock.now()
    try {
      await cache.put({ profile, fetchedAt: now.toISOString() }, new Date(now.getTime() + PROFILE_STALE_MS))
    } catch (error) {
      log.warn('Profile not cached', { userId: profile.userId, error })
    }
  }

  async function ask(from: ProfileSource, actor: Actor, token: string): Promise<Profile | undefined> {
    try {
      const profile = await from.fetch(actor, token)
      if (profile.teamId === actor.teamId && profile.userId === actor.userId) return profile
      log.warn('Profile ignored: it is of another member or team than the token', {
        userId: actor.userId,
        teamId: actor.teamId,
      })
    } catch (error) {
      log.warn('Profile not fetched from the existing server', { userId: actor.userId, error })
    }
    return undefined
  }

  return {
    async of(actor, token) {
      if (!source) return profileFromIds(actor)
      const last = await cached(actor)
      const age = last ? clock.now().getTime() - Date.parse(last.fetchedAt) : Number.POSITIVE_INFINITY
      if (last && age < PROFILE_FRESH_MS) return last.profile
      const profile = await ask(source, actor, token)
      if (profile) {
        await remember(profile)
        return profile
      }
      return last && age < PROFILE_STALE_MS ? last.profile : profileFromIds(actor)
    },
  }
}
