import { functionEnv } from '../../shared/contracts/functions.ts'
import { onConnect } from '../../shared/domain/realtime/websocket-events.ts'
import { connectDeps } from '../../shared/runtime/realtime-deps.ts'
import { webSocketHandler } from '../../shared/runtime/web-socket-handler.ts'

const deps = connectDeps(functionEnv('on-connect', process.env))

export const handler = webSocketHandler(async (event) => ({ statusCode: await onConnect(event, deps) }))
