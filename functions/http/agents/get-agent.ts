import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { getAgent } from '../../../shared/domain/agents/read.ts'
import { readNewestLines } from '../../../shared/domain/terminal/lines.ts'
import { readAgentDeps } from '../../../shared/runtime/agent-deps.ts'
import { httpHandler } from '../../../shared/runtime/http-handler.ts'
import { terminalLogReader } from '../../../shared/runtime/realtime-deps.ts'

const env = functionEnv('get-agent', process.env)
const deps = readAgentDeps(env)
const log = terminalLogReader(env)

export const handler = httpHandler(routes.getAgent, async ({ params, actor, token }) => {
  const { agent, record, output } = await getAgent(params.id, { ...actor, token }, deps)
  return { agent, output: output ?? (record ? await readNewestLines(log, record) : []) }
})
