/** The bundle behind the WebSocket API's routes. */
import * as z from 'zod'
import { correlationIdFrom, inScope } from './correlation.ts'
import { type HttpError, isFault, toHttpError } from './errors-to-http.ts'
import { asyncFunction, errorFields, type LambdaFunction } from './invocation.ts'
import { logger } from './logger.ts'
import { describeIssues } from './validation.ts'

const strings = z.record(z.string(), z.string().optional()).nullish()

/** API Gateway's WebSocket event: the parts that are read. */
const WebSocketEventSchema = z.object({
  headers: strings,
  queryStringParameters: strings,
  body: z.string().nullish(),
  isBase64Encoded: z.boolean().default(false),
  requestContext: z.object({
    connectionId: z.string().min(1),
    routeKey: z.string(),
    eventType: z.enum(['CONNECT', 'MESSAGE', 'DISCONNECT']),
    requestId: z.string().min(1),
    messageId: z.string().nullish(),
    /** When the gateway received this event, and when the connection began: milliseconds since the epoch. */
    requestTimeEpoch: z.number(),
    connectedAt: z.number().optional(),
    disconnectStatusCode: z.number().nullish(),
    disconnectReason: z.string().nullish(),
  }),
})

export interface WebSocketEvent {
  readonly connectionId: string
  readonly eventType: 'CONNECT' | 'MESSAGE' | 'DISCONNECT'
  readonly routeKey: string
  readonly requestId: string
  readonly messageId: string | undefined
  /** Milliseconds since the epoch, of the gateway: the order in which it received the messages of a connection. */
  readonly receivedAt: number
  readonly connectedAt: number | undefined
  /** Names in lower case; only CONNECT has any. */
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly query: Readonly<Record<string, string | undefined>>
  /** The frame's text; empty when there is none. */
  readonly body: string
  /** Why the connection ended, as the gateway says it; DISCONNECT only. */
  readonly disconnect: { readonly statusCode: number | undefined; readonly reason: string | undefined }
  readonly correlationId: string
}

/** On CONNECT the status accepts (200) or refuses the upgrade; afterwards nobody sees it. */
export interface WebSocketResult {
  readonly statusCode: number
  readonly headers?: Readonly<Record<string, string>>
}

const lowerCaseNames = (headers: Readonly<Record<string, string | undefined>>) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))

function toEvent(given: z.infer<typeof WebSocketEventSchema>): WebSocketEvent {
  const { requestContext: context, body } = given
  return {
    connectionId: context.connectionId,
    eventType: context.eventType,
    routeKey: context.routeKey,
    requestId: context.requestId,
    messageId: context.messageId ?? undefined,
    receivedAt: context.requestTimeEpoch,
    connectedAt: context.connectedAt,
    headers: lowerCaseNames(given.headers ?? {}),
    query: given.queryStringParameters ?? {},
    body: given.isBase64Encoded ? Buffer.from(body ?? '', 'base64').toString('utf8') : (body ?? ''),
    disconnect: {
      statusCode: context.disconnectStatusCode ?? undefined,
      reason: context.disconnectReason ?? undefined,
    },
    correlationId: correlationIdFrom(context.requestId, context.connectionId),
  }
}

function logError(error: unknown, shown: HttpError): void {
  const fields = { status: shown.status, code: shown.code }
  if (isFault(shown)) logger.error('WebSocket event failed', { ...fields, ...errorFields(error) })
  else logger.info('WebSocket event refused', { ...fields, reason: shown.message })
}

/**
 * `handle` returns nothing for 200. An error becomes a bare status: a function that throws would make the gateway send its own
 * error frame, which neither Engine.IO nor a link can read, and no text of an error ever reaches the other side.
 */
export function webSocketHandler(
  handle: (event: WebSocketEvent) => Promise<WebSocketResult> | Promise<void>,
): LambdaFunction<WebSocketResult> {
  return asyncFunction('websocket', async (given) => {
    const parsed = WebSocketEventSchema.safeParse(given)
    if (!parsed.success) {
      logger.error('Not a WebSocket API event', { problem: describeIssues(parsed.error, 'event') })
      return { statusCode: 500 }
    }
    const event = toEvent(parsed.data)
    const { connectionId, routeKey, eventType, correlationId } = event
    return inScope({ correlationId, fields: { connectionId, routeKey, eventType } }, async () => {
      try {
        return (await handle(event)) ?? { statusCode: 200 }
      } catch (error) {
        const shown = toHttpError(error)
        logError(error, shown)
        return { statusCode: shown.status }
      }
    })
  })
}
