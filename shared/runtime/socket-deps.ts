/** What the functions behind the clients' socket are made of. */
import { createChatStore } from '../adapters/dynamodb/chat-store.ts'
import { documentClient } from '../adapters/dynamodb/document-client.ts'
import { createSecrets } from '../adapters/secrets-manager/secrets.ts'
import type { FunctionEnv } from '../contracts/functions.ts'
import { containerAction } from '../domain/agents/container-action.ts'
import { NotFound } from '../domain/errors.ts'
import { previewEvents } from '../domain/previews/socket.ts'
import type { SocketDeps } from '../domain/realtime/ports.ts'
import { writeAgentDeps } from './agent-deps.ts'
import { addressDeps, previewDeps } from './preview-deps.ts'
import { profilesOf } from './profile-deps.ts'
import { inputDeps, publishDeps } from './realtime-deps.ts'
import { createTokenVerifier } from './verify-token.ts'

export function socketDeps(env: FunctionEnv<'on-socket-message'>): SocketDeps {
  const secrets = createSecrets({ jwtSecretId: env.JWT_SECRET_ID })
  const agents = writeAgentDeps(env)
  const profiles = profilesOf(env)
  return {
    ...publishDeps(env),
    ...inputDeps(env),
    chat: createChatStore(documentClient(), env.ENVIRONMENTS_TABLE),
    verifyToken: createTokenVerifier(() => secrets.jwtSecret()),
    previews: previewEvents({ ...previewDeps(env), ...addressDeps(env) }),
    memberName: async (user, token) => (await profiles.of(user, token)).userName,
    async containerAction(request, { userId, teamId }, correlationId) {
      const record = await agents.environments.get({ teamId, id: request.containerId })
      // A session keeps no token, so what runs on the existing server cannot be reached from here; it shows no containers.
      if (record?.backend !== 'docker') throw new NotFound(`Container ${request.containerId} not found`)
      await containerAction(request, { userId, teamId, token: '' }, correlationId, agents)
    },
  }
}
