/** What the functions that create, stop and remove teams' environments are made of. */
import { v7 as uuidv7 } from 'uuid'
import { documentClient } from '../adapters/dynamodb/document-client.ts'
import { createEnvironmentStore } from '../adapters/dynamodb/environment-store.ts'
import { createTeamStore } from '../adapters/dynamodb/team-store.ts'
import { createWorkQueue } from '../adapters/sqs/work-queue.ts'
import type { FunctionEnv } from '../contracts/functions.ts'
import { systemClock } from '../domain/clock.ts'
import type { TeamDeps } from '../domain/teams/operations.ts'
import { logger } from './logger.ts'
import { publisher } from './realtime-deps.ts'

/** The directory of previews is for functions that change those, too. */
export type TeamEnv = FunctionEnv<'poll-socket'> & { readonly PREVIEWS_TABLE?: string }

export function teamDeps(env: TeamEnv): TeamDeps {
  return {
    teams: createTeamStore(documentClient(), env.ENVIRONMENTS_TABLE),
    environments: createEnvironmentStore(documentClient(), env.ENVIRONMENTS_TABLE, env.PREVIEWS_TABLE),
    publish: publisher(env),
    queue: createWorkQueue(env.WORK_QUEUE_URL),
    clock: systemClock,
    newId: () => uuidv7(),
    warn: (message, fields) => logger.warn(message, fields),
  }
}
