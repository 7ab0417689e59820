/** What the functions of the files API are made of. */
import { createAnswerStore } from '../adapters/dynamodb/answer-store.ts'
import { documentClient } from '../adapters/dynamodb/document-client.ts'
import { createFlagStore } from '../adapters/dynamodb/flag-store.ts'
import { createForward } from '../adapters/existing-server/forward.ts'
import { createSecrets } from '../adapters/secrets-manager/secrets.ts'
import type { FunctionEnv } from '../contracts/functions.ts'
import type { FilesDeps } from '../domain/files/ports.ts'
import { flagsOf, stageDefaults } from '../domain/flags/flags.ts'
import { touchTeam, wakeTeam } from '../domain/teams/operations.ts'
import { logger } from './logger.ts'
import type { MemberDeps } from './member-handler.ts'
import { inputDeps, newRandomId } from './realtime-deps.ts'
import { teamDeps } from './team-deps.ts'
import { createTokenVerifier } from './verify-token.ts'

type FilesEnv = FunctionEnv<'list-files'>

/** Teams on containers are answered here; the existing server has the files of all others. */
export function filesMemberDeps(env: FilesEnv): MemberDeps {
  const secrets = createSecrets({ jwtSecretId: env.JWT_SECRET_ID })
  const flagDeps = {
    flags: createFlagStore(env.FLAGS_TABLE),
    stageDefault: stageDefaults(env.USE_DOCKER_AGENTS === 'true'),
    log: logger,
  }
  return {
    verifyToken: createTokenVerifier(() => secrets.jwtSecret()),
    isOurs: async ({ teamId }) => (await flagsOf(teamId, flagDeps)).useDockerAgents,
    forward: createForward(env.LEGACY_API_URL),
  }
}

export function filesDeps(env: FilesEnv): FilesDeps {
  const teams = teamDeps(env)
  return {
    ...inputDeps(env),
    newId: newRandomId,
    answers: createAnswerStore(documentClient(), env.CONNECTIONS_TABLE),
    teamOf: (teamId) => teams.teams.get(teamId),
    wake: (request) => wakeTeam(request, teams),
    touch: (teamId) => touchTeam(teamId, teams),
  }
}
