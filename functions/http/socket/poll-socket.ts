import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { answerGet } from '../../../shared/domain/realtime/polling-http.ts'
import { answer, httpHandler } from '../../../shared/runtime/http-handler.ts'
import { deliveryDeps } from '../../../shared/runtime/realtime-deps.ts'

const deps = deliveryDeps(functionEnv('poll-socket', process.env))

export const handler = httpHandler(routes.pollSocket, async ({ raw }) => {
  const { status, body } = await answerGet(raw.query, deps)
  return answer(status, body)
})
