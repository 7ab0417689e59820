import { describe, expect, it } from 'vitest'
import { Forbidden, Unavailable } from '../../../shared/domain/errors.ts'
import { type WebSocketEvent, webSocketHandler } from '../../../shared/runtime/web-socket-handler.ts'
import { capturedLogs, lambdaContext } from './support.ts'

const logs = capturedLogs()

/** API Gateway's WebSocket events (developer guide, "API Gateway mapping template and access logging variables"). */
const requestContext = {
  routeKey: '$connect',
  eventType: 'CONNECT',
  extendedRequestId: 'F4XGuH9zliAFZtA=',
  requestTime: '12/Mar/2025:19:03:58 +0000',
  messageDirection: 'IN',
  stage: 'live',
  connectedAt: 1_741_806_238_000,
  requestTimeEpoch: 1_741_806_238_390,
  identity: { sourceIp: '192.0.2.1' },
  requestId: 'F4XGuH9zliAFZtA=',
  domainName: 'example.com',
  connectionId: 'F4XGudC3liACERA=',
  apiId: 'api',
}
const connect = {
  headers: { Host: 'example.com', 'X-Covibes-Environment': 'team/record/1' },
  multiValueHeaders: {},
  queryStringParameters: { transport: 'websocket' },
  requestContext,
  isBase64Encoded: false,
}
const message = {
  requestContext: {
    ...requestContext,
    routeKey: '$default',
    eventType: 'MESSAGE',
    messageId: 'F4XG_e',
  },
  body: '42["join-team","t"]',
  isBase64Encoded: false,
}
const disconnect = {
  headers: {},
  requestContext: {
    ...requestContext,
    routeKey: '$disconnect',
    eventType: 'DISCONNECT',
    disconnectStatusCode: 1001,
    disconnectReason: 'Going away',
  },
  isBase64Encoded: false,
}

async function eventOf(given: unknown): Promise<WebSocketEvent> {
  const seen: WebSocketEvent[] = []
  const handler = webSocketHandler(async (event) => {
    seen.push(event)
  })
  expect(await handler(given, lambdaContext())).toEqual({ statusCode: 200 })
  const [event] = seen
  if (!event) throw new Error('the handler was not called')
  return event
}

describe('webSocketHandler', () => {
  it('reads a connect, with header names in lower case', async () => {
    expect(await eventOf(connect)).toMatchObject({
      connectionId: 'F4XGudC3liACERA=',
      eventType: 'CONNECT',
      routeKey: '$connect',
      receivedAt: 1_741_806_238_390,
      connectedAt: 1_741_806_238_000,
      headers: { host: 'example.com', 'x-covibes-environment': 'team/record/1' },
      query: { transport: 'websocket' },
      body: '',
    })
  })

  it('reads a message, which has no headers', async () => {
    expect(await eventOf(message)).toMatchObject({ eventType: 'MESSAGE', body: '42["join-team","t"]', headers: {} })
  })

  it('reads a disconnect with its reason', async () => {
    expect((await eventOf(disconnect)).disconnect).toEqual({ statusCode: 1001, reason: 'Going away' })
  })

  it('answers what its handler answers', async () => {
    const handler = webSocketHandler(async () => ({ statusCode: 401 }))
    expect(await handler(connect, lambdaContext())).toEqual({ statusCode: 401 })
  })

  it.each([
    [new Forbidden('not yours: team-9'), 403],
    [new Unavailable('later'), 503],
    [new Error('secret inside'), 500],
  ])('answers a bare status for %s and never throws', async (error, statusCode) => {
    const handler = webSocketHandler(() => Promise.reject<void>(error))
    expect(await handler(message, lambdaContext())).toEqual({ statusCode })
  })

  it('logs a fault with its stack, without the message that caused it', async () => {
    const handler = webSocketHandler(() => Promise.reject<void>(new Error('table is gone')))
    await handler({ ...message, body: '42["terminal_input",{"data":"s3cret"}]' }, lambdaContext())
    expect(logs.lines().find(({ level }) => level === 'ERROR')).toMatchObject({
      message: 'WebSocket event failed',
      connectionId: 'F4XGudC3liACERA=',
      error: { stack: expect.stringContaining('table is gone') },
    })
    expect(logs.text()).not.toContain('s3cret')
  })

  it('answers 500 to what is no WebSocket event', async () => {
    expect(await webSocketHandler(async () => undefined)({}, lambdaContext())).toEqual({ statusCode: 500 })
  })
})
