import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { stopAgent } from '../../../shared/domain/agents/end.ts'
import { writeAgentDeps } from '../../../shared/runtime/agent-deps.ts'
import { httpHandler } from '../../../shared/runtime/http-handler.ts'

const deps = writeAgentDeps(functionEnv('stop-agent', process.env))

export const handler = httpHandler(routes.stopAgent, async ({ params, actor, token, correlationId }) => {
  const agent = await stopAgent(params.id, { ...actor, token }, correlationId, deps)
  return { message: 'Agent is being stopped', agent }
})
