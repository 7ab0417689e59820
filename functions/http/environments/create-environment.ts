import { CONTAINER_KINDS } from '../../../shared/contracts/environments.ts'
import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { createEnvironment } from '../../../shared/domain/teams/create.ts'
import { teamView } from '../../../shared/domain/teams/view.ts'
import { createEnvironmentDeps } from '../../../shared/runtime/environment-deps.ts'
import { httpHandler } from '../../../shared/runtime/http-handler.ts'

const deps = createEnvironmentDeps(functionEnv('create-environment', process.env))

export const handler = httpHandler(routes.createEnvironment, async ({ body, actor, token, correlationId }) => {
  const { created } = await createEnvironment({ body, member: { ...actor, token }, correlationId }, deps)
  return {
    success: true as const,
    message: created ? 'Environment created' : 'The environment is there already',
    containers: Object.values(CONTAINER_KINDS),
    environment: await teamView(actor.teamId, deps),
  }
})
