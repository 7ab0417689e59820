/** What the agents' functions are made of, from the variables their capabilities bring. One place, so that handlers only wire. */
import { v7 as uuidv7 } from 'uuid'
import { documentClient } from '../adapters/dynamodb/document-client.ts'
import { createEnvironmentStore } from '../adapters/dynamodb/environment-store.ts'
import { createLedgerStore } from '../adapters/dynamodb/ledger-store.ts'
import { createTeamStore } from '../adapters/dynamodb/team-store.ts'
import { createSshBackend } from '../adapters/existing-server/ssh-backend.ts'
import { createWorkQueue } from '../adapters/sqs/work-queue.ts'
import type { FunctionEnv } from '../contracts/functions.ts'
import type { ReadAgentDeps, WriteAgentDeps } from '../domain/agents/ports.ts'
import type { SpawnDeps } from '../domain/agents/spawn.ts'
import { systemClock } from '../domain/clock.ts'
import type { LedgerWriter } from '../domain/ledger/ports.ts'
import { teamFlags } from './flag-deps.ts'
import { logger } from './logger.ts'
import { profilesOf } from './profile-deps.ts'
import { publisher } from './realtime-deps.ts'

export function readAgentDeps(env: FunctionEnv<'list-agents'>): ReadAgentDeps {
  return {
    environments: createEnvironmentStore(documentClient(), env.ENVIRONMENTS_TABLE),
    ssh: createSshBackend(env.LEGACY_API_URL),
    flagsOf: teamFlags(env),
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
    profiles: profilesOf(env),
    allowLoopbackRepositories: env.ALLOW_LOOPBACK_REPOSITORIES === 'true',
    random: Math.random,
  }
}
