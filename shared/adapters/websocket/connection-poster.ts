/** The WebSocket API's management endpoint (`@connections`); the one place where its client is used. */
import {
  ApiGatewayManagementApiClient,
  DeleteConnectionCommand,
  GoneException,
  LimitExceededException,
  PostToConnectionCommand,
} from '@aws-sdk/client-apigatewaymanagementapi'
import { POST_TIMEOUT_MS } from '../../domain/realtime/limits.ts'
import type { ConnectionPoster, Log } from '../../domain/realtime/ports.ts'

/** Milliseconds to a TCP connection; a post that has not been connected was not sent, but says so too late to be of use. */
const CONNECT_TIMEOUT_MS = 1_000

/** Statuses that say the request was wrong: repeating or reconnecting would not mend it. */
const OUR_FAULT = new Set([400, 403, 413])

const statusOf = (error: unknown): number | undefined =>
  typeof error === 'object' && error !== null && '$metadata' in error
    ? (error.$metadata as { httpStatusCode?: number }).httpStatusCode
    : undefined

/**
 * `maxAttempts: 1`: the SDK must not repeat a post whose answer was lost, because the client would get it twice.
 * @param endpoint The API's management endpoint with its stage.
 */
export function createConnectionPoster(
  endpoint: string,
  log: Log,
  client = new ApiGatewayManagementApiClient({
    endpoint,
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: POST_TIMEOUT_MS,
      throwOnRequestTimeout: true,
    },
  }),
): ConnectionPoster {
  return {
    async post(connectionId, text) {
      try {
        await client.send(new PostToConnectionCommand({ ConnectionId: connectionId, Data: Buffer.from(text) }))
        return 'sent'
      } catch (error) {
        const status = statusOf(error)
        if (error instanceof GoneException || status === 410) return 'gone'
        if (error instanceof LimitExceededException || status === 429) return 'full'
        if (status !== undefined && OUR_FAULT.has(status)) throw error
        log.warn('Post to a connection had no clear outcome', { connectionId, error })
        return 'unclear'
      }
    },

    async close(connectionId) {
      try {
        await client.send(new DeleteConnectionCommand({ ConnectionId: connectionId }))
      } catch (error) {
        if (error instanceof GoneException || statusOf(error) === 410) return
        // Nobody pings it any more, so its client closes it by itself.
        log.warn('Connection could not be closed', { connectionId, error })
      }
    },
  }
}
