import { functionEnv } from '../../shared/contracts/functions.ts'
import { onClientMessage } from '../../shared/domain/realtime/websocket-events.ts'
import { socketDeps } from '../../shared/runtime/socket-deps.ts'
import { webSocketHandler } from '../../shared/runtime/web-socket-handler.ts'

const deps = socketDeps(functionEnv('on-socket-message', process.env))

export const handler = webSocketHandler(({ connectionId, body, receivedAt, requestId }) =>
  onClientMessage({ connectionId, text: body, received: { at: receivedAt, requestId } }, deps),
)
