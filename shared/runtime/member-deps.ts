/** What stands before routes that are ours for teams on containers, and the existing server's for all others. */
import { createForward } from '../adapters/existing-server/forward.ts'
import { createSecrets } from '../adapters/secrets-manager/secrets.ts'
import type { FunctionEnv } from '../contracts/functions.ts'
import { teamFlags } from './flag-deps.ts'
import type { MemberDeps } from './member-handler.ts'
import { createTokenVerifier } from './verify-token.ts'

type MemberEnv = Pick<
  FunctionEnv<'get-preview-status'>,
  'JWT_SECRET_ID' | 'FLAGS_TABLE' | 'USE_DOCKER_AGENTS' | 'LEGACY_API_URL'
>

export function memberDeps(env: MemberEnv): MemberDeps {
  const secrets = createSecrets({ jwtSecretId: env.JWT_SECRET_ID })
  const flags = teamFlags(env)
  return {
    verifyToken: createTokenVerifier(() => secrets.jwtSecret()),
    isOurs: async ({ teamId }) => (await flags(teamId)).useDockerAgents,
    forward: createForward(env.LEGACY_API_URL),
  }
}
