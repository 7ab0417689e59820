import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { deleteAllAgents } from '../../../shared/domain/agents/end.ts'
import { writeAgentDeps } from '../../../shared/runtime/agent-deps.ts'
import { httpHandler } from '../../../shared/runtime/http-handler.ts'

const deps = writeAgentDeps(functionEnv('delete-all-agents', process.env))

export const handler = httpHandler(routes.deleteAllAgents, async ({ actor, token, correlationId }) => {
  const deletedCount = await deleteAllAgents({ ...actor, token }, correlationId, deps)
  return { message: 'All agents deleted', deletedCount }
})
