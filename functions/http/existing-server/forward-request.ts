import { createForward } from '../../../shared/adapters/existing-server/forward.ts'
import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { onlyForeign } from '../../../shared/domain/forwarding/own-routes.ts'
import { forwardHandler } from '../../../shared/runtime/forward-handler.ts'

const env = functionEnv('forward-request', process.env)
const forward = onlyForeign(Object.values(routes), createForward(env.LEGACY_API_URL))

export const handler = forwardHandler((request) => forward(request))
