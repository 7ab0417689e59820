import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { sendInput } from '../../../shared/domain/agents/terminal.ts'
import { readAgentDeps } from '../../../shared/runtime/agent-deps.ts'
import { httpHandler } from '../../../shared/runtime/http-handler.ts'
import { agentTerminal } from '../../../shared/runtime/realtime-deps.ts'

const env = functionEnv('send-agent-input', process.env)
const deps = { ...readAgentDeps(env), terminal: agentTerminal(env) }

export const handler = httpHandler(routes.sendAgentInput, async ({ params, body, actor, token, receivedAt }) => {
  await sendInput(params.id, body.input, { ...actor, token }, receivedAt, deps)
  return { message: 'Input sent' }
})
