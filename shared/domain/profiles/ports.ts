import type { Actor } from '../actor.ts'
import type { CachedProfile, Profile } from './schema.ts'

/** Names and the team's repository of the member who asks. Never throws: names are decoration, and a spawn does not fail for them. */
export interface Profiles {
  /** @param token The member's own, with which the existing server is asked. */
  of(actor: Actor, token: string): Promise<Profile>
}

/** The existing server's word on the bearer of a token. @throws when it cannot be had. */
export interface ProfileSource {
  fetch(actor: Actor, token: string): Promise<Profile>
}

export interface ProfileCache {
  /** Undefined: none, or one that does not parse. */
  get(userId: string): Promise<CachedProfile | undefined>
  /** @param expiresAt When it may be forgotten. */
  put(cached: CachedProfile, expiresAt: Date): Promise<void>
}

export interface ProfileLog {
  warn(message: string, fields: Record<string, unknown>): void
}
