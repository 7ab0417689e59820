import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { spawnAgent } from '../../../shared/domain/agents/spawn.ts'
import { agentView, containerView } from '../../../shared/domain/agents/view.ts'
import { spawnAgentDeps } from '../../../shared/runtime/agent-deps.ts'
import { httpHandler } from '../../../shared/runtime/http-handler.ts'

const deps = spawnAgentDeps(functionEnv('spawn-agent', process.env))

export const handler = httpHandler(routes.spawnAgent, async ({ body, actor, token, idempotencyKey, correlationId }) => {
  const { record } = await spawnAgent({ body, member: { ...actor, token }, idempotencyKey, correlationId }, deps)
  return {
    success: true as const,
    method: record.backend,
    message: 'Agent started',
    agent: { ...agentView(record), isOwner: true },
    ...(record.backend === 'docker' ? { container: containerView(record) } : {}),
  }
})
