import { functionEnv } from '../../shared/contracts/functions.ts'
import { onDisconnect } from '../../shared/domain/realtime/websocket-events.ts'
import { disconnectDeps } from '../../shared/runtime/realtime-deps.ts'
import { webSocketHandler } from '../../shared/runtime/web-socket-handler.ts'

const deps = disconnectDeps(functionEnv('on-disconnect', process.env))

export const handler = webSocketHandler(({ connectionId }) => onDisconnect(connectionId, deps))
