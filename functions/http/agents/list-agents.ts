import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { listAgents } from '../../../shared/domain/agents/read.ts'
import { readAgentDeps } from '../../../shared/runtime/agent-deps.ts'
import { httpHandler } from '../../../shared/runtime/http-handler.ts'

const deps = readAgentDeps(functionEnv('list-agents', process.env))

export const handler = httpHandler(routes.listAgents, ({ query, actor, token }) =>
  listAgents({ ...query, member: { ...actor, token } }, deps),
)
