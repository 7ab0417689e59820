import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { tellStories } from '../../../shared/domain/story/stories.ts'
import { ofOwnTeam } from '../../../shared/domain/teams/own-team.ts'
import { storyDeps } from '../../../shared/runtime/environment-deps.ts'
import { httpHandler } from '../../../shared/runtime/http-handler.ts'

const deps = storyDeps(functionEnv('get-environment-why', process.env))

export const handler = httpHandler(routes.getEnvironmentWhy, async ({ params, query, actor }) => {
  ofOwnTeam(params.teamId, actor)
  return tellStories(actor.teamId, query, deps)
})
