import { beforeEach, describe, expect, it } from 'vitest'
import type { ProfileCache, ProfileSource } from '../../../shared/domain/profiles/ports.ts'
import { createProfiles, PROFILE_FRESH_MS, PROFILE_STALE_MS } from '../../../shared/domain/profiles/profiles.ts'
import type { CachedProfile, Profile } from '../../../shared/domain/profiles/schema.ts'

const actor = { userId: 'u1', teamId: 't1' }
const ids: Profile = { ...actor, userName: 'u1', repositoryUrl: null, known: false }
const ada: Profile = {
  ...actor,
  userName: 'Ada',
  teamName: 'Engines',
  repositoryUrl: 'https://github.com/a/b',
  known: true,
}
const down: ProfileSource = { fetch: () => Promise.reject(new Error('ECONNREFUSED')) }

let now: number
let stored: CachedProfile | undefined
let expiry: Date | undefined
let asked: string[]
let warnings: string[]
beforeEach(() => {
  now = Date.parse('2025-03-12T10:00:00Z')
  stored = expiry = undefined
  asked = []
  warnings = []
})

const cache: ProfileCache = {
  get: async () => stored,
  put: async (cached, expiresAt) => {
    stored = cached
    expiry = expiresAt
  },
}
const answering = (profile: Profile): ProfileSource => ({
  fetch: async (_actor, token) => {
    asked.push(token)
    return profile
  },
})
const profilesWith = (source: ProfileSource | undefined, on: ProfileCache = cache) =>
  createProfiles({
    cache: on,
    ...(source ? { source } : {}),
    clock: { now: () => new Date(now) },
    log: { warn: (message) => warnings.push(message) },
  })

describe('createProfiles', () => {
  it('answers ids at once when there is no existing server, without a look into the cache', async () => {
    const untouchable: ProfileCache = { get: () => Promise.reject(new Error('asked')), put: cache.put }
    expect(await profilesWith(undefined, untouchable).of(actor, 'token')).toEqual(ids)
    expect(warnings).toEqual([])
  })

  it("asks with the member's token, once in five minutes", async () => {
    const profiles = profilesWith(answering(ada))
    expect(await profiles.of(actor, 'token')).toEqual(ada)
    expect(expiry).toEqual(new Date(now + PROFILE_STALE_MS))
    now += PROFILE_FRESH_MS - 1
    expect(await profiles.of(actor, 'token')).toEqual(ada)
    expect(asked).toEqual(['token'])
    now += 1
    await profiles.of(actor, 'later')
    expect(asked).toEqual(['token', 'later'])
  })

  it('falls back to the stale copy for a day, then to ids', async () => {
    await profilesWith(answering(ada)).of(actor, 'token')
    now += PROFILE_STALE_MS - 1
    expect(await profilesWith(down).of(actor, 'token')).toEqual(ada)
    now += 1
    expect(await profilesWith(down).of(actor, 'token')).toEqual(ids)
    expect(warnings).toHaveLength(2)
  })

  it.each([
    ['team', { ...ada, teamId: 't2' }],
    ['user', { ...ada, userId: 'u2' }],
  ])('ignores an answer about another %s', async (_what, other) => {
    expect(await profilesWith(answering(other)).of(actor, 'token')).toEqual(ids)
    expect(stored).toBeUndefined()
    expect(warnings).toHaveLength(1)
  })

  it("does not carry the repository of a member's former team along", async () => {
    stored = { profile: { ...ada, teamId: 't0' }, fetchedAt: new Date(now).toISOString() }
    expect(await profilesWith(down).of(actor, 'token')).toEqual(ids)
    expect(await profilesWith(answering(ada)).of(actor, 'token')).toEqual(ada)
  })

  it('goes on without a cache that cannot be read or written', async () => {
    const broken: ProfileCache = {
      get: () => Promise.reject(new Error('throttled')),
      put: () => Promise.reject(new Error('throttled')),
    }
    expect(await profilesWith(answering(ada), broken).of(actor, 'token')).toEqual(ada)
    expect(warnings).toEqual(['Profile cache not read', 'Profile not cached'])
    expect(await profilesWith(down, broken).of(actor, 'token')).toEqual(ids)
  })
})
