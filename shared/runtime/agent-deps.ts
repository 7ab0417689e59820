/** What the agents' functions are made of, from the variables their capabilities bring. One place, so that handlers only wire. */
import { v7 as uuidv7 } from 'uuid'
import { documentClient } from '../adapters/dynamodb/document-client.ts'
import { createEnvironmentStore } from '../adapters/dynamodb/environment-store.ts'
import { createFlagStore } from '../adapters/dynamodb/flag-store.ts'
import { createLedgerStore } from '../adapters/dynamodb/ledger-store.ts'
import { createProfileStore } from '../adapters/dynamodb/profile-store.ts'
import { createTeamStore } from '../adapters/dynamodb/team-store.ts'
import { createProfileSource } from '../adapters/existing-server/profile-source.ts'
import { createSshBackend } from '../adapters/existing-server/ssh-backend.ts'
import { createWorkQueue } from '../adapters/sqs/work-queue.ts'
import type { FunctionEnv } from '../contracts/functions.ts'
import type { ReadAgentDeps, WriteAgentDeps } from '../domain/agents/ports.ts'
import type { SpawnDeps } from '../domain/agents/spawn.ts'
import { systemClock } from '../domain/clock.ts'
import { flagsOf, stageDefaults } from '../domain/flags/flags.ts'
import type { LedgerWriter } from '../domain/ledger/ports.ts'
import { createProfiles } from '../domain/profiles/profiles.ts'
import { logger } from './logger.ts'
import { publisher } from './realtime-deps.ts'

export function readAgentDeps(env: FunctionEnv<'list-agents'>): ReadAgentDeps {
  const flagDeps = {
    flags: createFlagStore(env.FLAGS_TABLE),
    stageDefault: stageDefaults(env.USE_DOCKER_AGENTS === 'true'),
    log: logger,
  }
  return {
    environments: createEnvironmentStore(documentClient(), env.ENVIRONMENTS_TABLE),
    ssh: createSshBackend(env.LEGACY_API_URL),
    flagsOf: (teamId) => flagsOf(teamId, flagDeps),
    clock: systemClock,
  }
}

export function writeAgentDeps(env: FunctionEnv<'stop-agent'>): WriteAgentDeps & { readonly ledger: LedgerWriter } {
  return {
    ...readAgentDeps(env),
    teams: createTeamStore(documentClient(), env.ENVIRONMENTS_TABLE),
    publish: publisher(env),
    queue: createWorkQueue(env.WORK_QUEUE_URL),
    ledger: createLedgerStore(documentClient(), env.ENVIRONMENTS_TABLE),
    newId: () => uuidv7(),
    warn: (message, fields) => logger.warn(message, fields),
  }
}

export function spawnAgentDeps(env: FunctionEnv<'spawn-agent'>): SpawnDeps {
  return {
    ...writeAgentDeps(env),
    profiles: createProfiles({
      cache: createProfileStore(env.CONNECTIONS_TABLE),
      ...(env.LEGACY_API_URL ? { source: createProfileSource(env.LEGACY_API_URL) } : {}),
      clock: systemClock,
      log: logger,
    }),
    allowLoopbackRepositories: env.ALLOW_LOOPBACK_REPOSITORIES === 'true',
    random: Math.random,
  }
}
