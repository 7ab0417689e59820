import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { ofOwnTeam } from '../../../shared/domain/teams/own-team.ts'
import { teamView } from '../../../shared/domain/teams/view.ts'
import { viewDeps } from '../../../shared/runtime/environment-deps.ts'
import { httpHandler } from '../../../shared/runtime/http-handler.ts'

const deps = viewDeps(functionEnv('get-environment', process.env))

export const handler = httpHandler(routes.getEnvironment, async ({ params, actor }) => {
  ofOwnTeam(params.teamId, actor)
  return teamView(actor.teamId, deps)
})
