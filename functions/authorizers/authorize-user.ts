import { createSecrets } from '../../shared/adapters/secrets-manager/secrets.ts'
import { functionEnv } from '../../shared/contracts/functions.ts'
import { authorizerHandler } from '../../shared/runtime/authorizer.ts'
import { createTokenVerifier } from '../../shared/runtime/verify-token.ts'

const env = functionEnv('authorize-user', process.env)
const secrets = createSecrets({ jwtSecretId: env.JWT_SECRET_ID })

export const handler = authorizerHandler(createTokenVerifier(secrets.jwtSecret))
