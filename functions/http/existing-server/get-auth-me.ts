import { functionEnv } from '../../../shared/contracts/functions.ts'
import { authMe } from '../../../shared/domain/forwarding/auth-me.ts'
import { bearerToken } from '../../../shared/runtime/bearer-token.ts'
import { authMeDeps } from '../../../shared/runtime/forward-deps.ts'
import { forwardHandler } from '../../../shared/runtime/forward-handler.ts'

const deps = authMeDeps(functionEnv('get-auth-me', process.env))

export const handler = forwardHandler((request) => authMe(request, bearerToken(request.headers.authorization), deps))
