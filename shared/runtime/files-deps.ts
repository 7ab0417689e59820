/** What the functions of the files API are made of. */
import { createAnswerStore } from '../adapters/dynamodb/answer-store.ts'
import { documentClient } from '../adapters/dynamodb/document-client.ts'
import type { FunctionEnv } from '../contracts/functions.ts'
import type { FilesDeps } from '../domain/files/ports.ts'
import { touchTeam, wakeTeam } from '../domain/teams/operations.ts'
import { inputDeps, newRandomId } from './realtime-deps.ts'
import { teamDeps } from './team-deps.ts'

type FilesEnv = FunctionEnv<'list-files'>

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
