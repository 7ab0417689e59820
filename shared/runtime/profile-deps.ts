import { createProfileStore } from '../adapters/dynamodb/profile-store.ts'
import { createProfileSource } from '../adapters/existing-server/profile-source.ts'
import { systemClock } from '../domain/clock.ts'
import type { Profiles } from '../domain/profiles/ports.ts'
import { createProfiles } from '../domain/profiles/profiles.ts'
import { logger } from './logger.ts'

type ProfileEnv = { readonly CONNECTIONS_TABLE: string; readonly LEGACY_API_URL?: string | undefined }

/** Members' names and repositories: the existing server's, remembered; ids alone where a stage has none. */
export const profilesOf = ({ CONNECTIONS_TABLE, LEGACY_API_URL }: ProfileEnv): Profiles =>
  createProfiles({
    cache: createProfileStore(CONNECTIONS_TABLE),
    ...(LEGACY_API_URL ? { source: createProfileSource(LEGACY_API_URL) } : {}),
    clock: systemClock,
    log: logger,
  })
