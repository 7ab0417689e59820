import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { removeTeam } from '../../../shared/domain/teams/operations.ts'
import { internalDeps } from '../../../shared/runtime/environment-deps.ts'
import { signedHandler } from '../../../shared/runtime/signed-handler.ts'

const deps = internalDeps(functionEnv('remove-team', process.env))

export const handler = signedHandler(routes.removeTeam, deps.secret, async ({ params: { teamId }, correlationId }) => {
  await removeTeam({ teamId, correlationId }, deps)
  return { message: 'The team is being removed with all it has', teamId }
})
