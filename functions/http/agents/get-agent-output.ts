import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { getAgent } from '../../../shared/domain/agents/read.ts'
import { readOutputLines } from '../../../shared/domain/terminal/lines.ts'
import { readAgentDeps } from '../../../shared/runtime/agent-deps.ts'
import { httpHandler } from '../../../shared/runtime/http-handler.ts'
import { terminalLogReader } from '../../../shared/runtime/realtime-deps.ts'

const env = functionEnv('get-agent-output', process.env)
const deps = readAgentDeps(env)
const log = terminalLogReader(env)

export const handler = httpHandler(routes.getAgentOutput, async ({ params, query, actor, token }) => {
  const { record, output = [] } = await getAgent(params.id, { ...actor, token }, deps)
  const lines = record ? await readOutputLines(log, record, query) : { output, truncated: false }
  return { agentId: params.id, ...lines }
})
