import { functionEnv } from '../../shared/contracts/functions.ts'
import { onContainerMessage } from '../../shared/domain/realtime/websocket-events.ts'
import { linkDeps } from '../../shared/runtime/realtime-deps.ts'
import { webSocketHandler } from '../../shared/runtime/web-socket-handler.ts'

const deps = linkDeps(functionEnv('on-link-message', process.env))

export const handler = webSocketHandler(({ connectionId, body, receivedAt, requestId }) =>
  onContainerMessage({ connectionId, text: body, received: { at: receivedAt, requestId } }, deps),
)
