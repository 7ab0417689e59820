import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { getAgent } from '../../../shared/domain/agents/read.ts'
import { NotFound } from '../../../shared/domain/errors.ts'
import { readAgentDeps } from '../../../shared/runtime/agent-deps.ts'
import { httpHandler } from '../../../shared/runtime/http-handler.ts'

const deps = readAgentDeps(functionEnv('get-agent-container', process.env))

export const handler = httpHandler(routes.getAgentContainer, async ({ params, actor, token }) => {
  const { agent } = await getAgent(params.id, { ...actor, token }, deps)
  if (!agent.container) throw new NotFound('This agent does not run in a container')
  return { container: agent.container }
})
