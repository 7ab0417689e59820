import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { sendSignal } from '../../../shared/domain/agents/terminal.ts'
import { readAgentDeps } from '../../../shared/runtime/agent-deps.ts'
import { httpHandler } from '../../../shared/runtime/http-handler.ts'
import { agentTerminal } from '../../../shared/runtime/realtime-deps.ts'

const env = functionEnv('send-agent-signal', process.env)
const deps = { ...readAgentDeps(env), terminal: agentTerminal(env) }

export const handler = httpHandler(routes.sendAgentSignal, async ({ params, body, actor, token }) => {
  await sendSignal(params.id, body.signal, { ...actor, token }, deps)
  return { message: `${body.signal} sent` }
})
