import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { templateApi } from '../http-api/template-api.ts'
import { Gateway } from './gateway.ts'
import { createManagementApi } from './management-api.ts'
import type { WebSocketApiOptions, WebSocketMetrics } from './options.ts'

/** The assembly's WebSocket API. */
export interface WebSocketApi {
  readonly apiId: string
  readonly stages: readonly string[]
  /** Base of the management endpoint without the stage; stands for `https://{apiId}.execute-api…`. */
  readonly url: string
  /** Upgrades a request whose path is a stage's; others are refused with 403. Never throws. */
  handleUpgrade(request: IncomingMessage, socket: Socket, head: Buffer): void
  /** Resets a client's TCP connection; false when it is not there. */
  drop(connectionId: string): boolean
  /** Ids of the open connections, oldest first. */
  connectionIds(): string[]
  metrics(): WebSocketMetrics
  /**
   * Closes every connection with 1001 and resolves when all handlers, those of `$disconnect` too, have ended, at the latest
   * after `graceMs` (10 s).
   */
  close(graceMs?: number): Promise<void>
}

/** An API Gateway WebSocket API as the template declares it, with its management endpoint on loopback. */
export async function createWebSocketApi(options: WebSocketApiOptions): Promise<WebSocketApi> {
  const api = templateApi(options.assembly, 'WEBSOCKET', options.apiId)
  const gateway = new Gateway(api, options)
  const management = await createManagementApi({
    stages: gateway.stages,
    find: (stage, connectionId) => gateway.find(stage, connectionId),
    onRequest: options.onRequest,
    onPost: () => gateway.countPost(),
    port: options.managementPort,
  })
  return {
    apiId: api.apiId,
    stages: gateway.stages,
    url: management.url,
    handleUpgrade: (request, socket, head) => gateway.handleUpgrade(request, socket, head),
    drop: (connectionId) => gateway.drop(connectionId),
    connectionIds: () => gateway.connectionIds(),
    metrics: () => gateway.metrics(),
    async close(graceMs = 10_000) {
      await gateway.close(graceMs)
      await management.close()
    },
  }
}
