import { createFlagStore } from '../adapters/dynamodb/flag-store.ts'
import { flagsOf, stageDefaults } from '../domain/flags/flags.ts'
import type { Flags } from '../domain/flags/schema.ts'
import { logger } from './logger.ts'

type FlagEnv = { readonly FLAGS_TABLE: string; readonly USE_DOCKER_AGENTS: string }

/** Reads a team's flags from the stage's table; once a request (invariant 9). */
export function teamFlags({ FLAGS_TABLE, USE_DOCKER_AGENTS }: FlagEnv): (teamId: string) => Promise<Flags> {
  const deps = {
    flags: createFlagStore(FLAGS_TABLE),
    stageDefault: stageDefaults(USE_DOCKER_AGENTS === 'true'),
    log: logger,
  }
  return (teamId) => flagsOf(teamId, deps)
}
