import { functionEnv } from '../../../shared/contracts/functions.ts'
import { ENGINE_MAX_PAYLOAD_BYTES } from '../../../shared/contracts/limits.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { answerPost } from '../../../shared/domain/realtime/polling-http.ts'
import { answer, httpHandler } from '../../../shared/runtime/http-handler.ts'
import { socketDeps } from '../../../shared/runtime/socket-deps.ts'

const deps = socketDeps(functionEnv('post-socket', process.env))

export const handler = httpHandler(routes.postSocket, async ({ raw, receivedAt, requestId }) => {
  const received = { at: receivedAt, requestId }
  const { status, body } = await answerPost(raw.query, () => raw.text(ENGINE_MAX_PAYLOAD_BYTES), received, deps)
  return answer(status, body)
})
