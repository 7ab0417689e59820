import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { deleteAgent } from '../../../shared/domain/agents/end.ts'
import { writeAgentDeps } from '../../../shared/runtime/agent-deps.ts'
import { httpHandler } from '../../../shared/runtime/http-handler.ts'

const deps = writeAgentDeps(functionEnv('delete-agent', process.env))

export const handler = httpHandler(routes.deleteAgent, async ({ params, actor, token, correlationId }) => {
  await deleteAgent(params.id, { ...actor, token }, correlationId, deps)
  return { message: 'Agent deleted', agentId: params.id }
})
