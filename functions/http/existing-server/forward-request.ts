import { createForward } from '../../../shared/adapters/existing-server/forward.ts'
import { functionEnv } from '../../../shared/contracts/functions.ts'
import { forwardHandler } from '../../../shared/runtime/forward-handler.ts'

const forward = createForward(functionEnv('forward-request', process.env).LEGACY_API_URL)

export const handler = forwardHandler((request) => forward(request))
