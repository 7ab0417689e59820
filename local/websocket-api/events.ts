import type { IncomingMessage } from 'node:http'
import { clfTime, newGatewayId, newTraceId } from '../http-api/request-event.ts'

/** What stays the same for all events of a connection. */
export interface ConnectionInfo {
  readonly connectionId: string
  /** Unix time in milliseconds. */
  readonly connectedAt: number
  readonly apiId: string
  readonly stage: string
  readonly stageVariables: Readonly<Record<string, string>>
  readonly domainName: string
  readonly sourceIp: string
  readonly userAgent: string | undefined
  /** What the authorizer of `$connect` gave back; in every event of the connection. */
  authorizer?: Readonly<Record<string, string>>
}

type EventMembers = Readonly<Record<string, unknown>>

function requestContext(
  info: ConnectionInfo,
  routeKey: string,
  eventType: 'CONNECT' | 'MESSAGE' | 'DISCONNECT',
  members: EventMembers,
): Record<string, unknown> {
  const now = new Date()
  const requestId = newGatewayId()
  return {
    routeKey,
    eventType,
    extendedRequestId: requestId,
    requestTime: clfTime(now),
    messageDirection: 'IN',
    stage: info.stage,
    connectedAt: info.connectedAt,
    requestTimeEpoch: now.getTime(),
    identity: { sourceIp: info.sourceIp, ...(info.userAgent !== undefined && { userAgent: info.userAgent }) },
    requestId,
    domainName: info.domainName,
    connectionId: info.connectionId,
    apiId: info.apiId,
    ...(info.authorizer && { authorizer: info.authorizer }),
    ...members,
  }
}

/** An event with its request id, which the platform's error frame names. */
export interface WebSocketEvent extends EventMembers {
  readonly requestContext: Readonly<Record<string, unknown>>
}

/** The event for `$connect`: the only one with the request's headers and query. */
export function connectEvent(info: ConnectionInfo, request: IncomingMessage): WebSocketEvent {
  const headers = new Map<string, string[]>()
  const add = (name: string, value: string) => headers.set(name, [...(headers.get(name) ?? []), value])
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i] ?? ''
    if (!/^(connection|upgrade)$/i.test(name)) add(name, request.rawHeaders[i + 1] ?? '')
  }
  const has = (name: string) => [...headers.keys()].some((key) => key.toLowerCase() === name)
  if (!has('x-amzn-trace-id')) add('X-Amzn-Trace-Id', newTraceId())
  if (!has('x-forwarded-for')) add('X-Forwarded-For', info.sourceIp)
  if (!has('x-forwarded-port')) add('X-Forwarded-Port', String(request.socket.localPort ?? 443))
  if (!has('x-forwarded-proto')) add('X-Forwarded-Proto', 'http')
  const query = new Map<string, string[]>()
  for (const [name, value] of new URL(request.url ?? '/', 'http://x').searchParams)
    query.set(name, [...(query.get(name) ?? []), value])
  return {
    headers: single(headers),
    multiValueHeaders: Object.fromEntries(headers),
    ...(query.size > 0 && {
      queryStringParameters: single(query),
      multiValueQueryStringParameters: Object.fromEntries(query),
    }),
    ...(Object.keys(info.stageVariables).length > 0 && { stageVariables: info.stageVariables }),
    requestContext: requestContext(info, '$connect', 'CONNECT', {}),
    isBase64Encoded: false,
  }
}

/** Of several values API Gateway gives the last in the members for one. */
function single(values: ReadonlyMap<string, readonly string[]>): Record<string, string> {
  return Object.fromEntries([...values].map(([name, all]) => [name, all.at(-1) ?? '']))
}

/** The event for a message. */
export function messageEvent(info: ConnectionInfo, routeKey: string, body: string): WebSocketEvent {
  return {
    requestContext: requestContext(info, routeKey, 'MESSAGE', { messageId: newGatewayId() }),
    ...(Object.keys(info.stageVariables).length > 0 && { stageVariables: info.stageVariables }),
    body,
    isBase64Encoded: false,
  }
}

/** The event for `$disconnect`. */
export function disconnectEvent(info: ConnectionInfo, code: number, reason: string): WebSocketEvent {
  const headers = { Host: info.domainName, 'x-api-key': '', 'X-Forwarded-For': '', 'x-restapi': '' }
  return {
    headers,
    multiValueHeaders: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]])),
    ...(Object.keys(info.stageVariables).length > 0 && { stageVariables: info.stageVariables }),
    requestContext: requestContext(info, '$disconnect', 'DISCONNECT', {
      disconnectStatusCode: code,
      disconnectReason: reason,
    }),
    isBase64Encoded: false,
  }
}
