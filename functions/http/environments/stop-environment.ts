import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { stopTeam } from '../../../shared/domain/teams/operations.ts'
import { ofOwnTeam } from '../../../shared/domain/teams/own-team.ts'
import { teamView } from '../../../shared/domain/teams/view.ts'
import { requestOf } from '../../../shared/runtime/environment-deps.ts'
import { httpHandler } from '../../../shared/runtime/http-handler.ts'
import { teamDeps } from '../../../shared/runtime/team-deps.ts'

const deps = teamDeps(functionEnv('stop-environment', process.env))

export const handler = httpHandler(routes.stopEnvironment, async ({ params, actor, correlationId }) => {
  ofOwnTeam(params.teamId, actor)
  await stopTeam(requestOf(actor, correlationId), deps)
  return {
    success: true as const,
    message: 'The environment is being stopped',
    environment: await teamView(actor.teamId, deps),
  }
})
