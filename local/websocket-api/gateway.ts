import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type WebSocket, WebSocketServer } from 'ws'
import { AwsError } from '../common/aws-error.ts'
import { Drain } from '../common/drain.ts'
import { httpAnswer } from '../http-api/function-response.ts'
import { newGatewayId } from '../http-api/request-event.ts'
import type { ApiRoute, ApiStage, TemplateApi } from '../http-api/template-api.ts'
import { StageThrottle } from '../http-api/token-bucket.ts'
import type { InvokeResponse } from '../lambda/invoke-response.ts'
import { invokeWithin } from '../lambda/invoke-within.ts'
import { authorizeConnect } from './connect-authorization.ts'
import { Connection, type Disconnection } from './connection.ts'
import { connectEvent, disconnectEvent, messageEvent, type WebSocketEvent } from './events.ts'
import { limitFrames } from './frame-limit.ts'
import { MAX_MESSAGE_BYTES } from './management-api.ts'
import type { WebSocketApiOptions, WebSocketMetrics } from './options.ts'
import { selectRoute } from './route-selection.ts'

/** API Gateway's quotas for WebSocket APIs: 32 KB a frame, ten minutes idle, two hours in all. */
const MAX_FRAME_BYTES = 32 * 1024
const IDLE_TIMEOUT_MS = 10 * 60_000
const MAX_DURATION_MS = 2 * 60 * 60_000

const SERVER_OPTIONS = {
  noServer: true,
  clientTracking: false,
  perMessageDeflate: false,
  maxPayload: MAX_MESSAGE_BYTES,
  // How long a socket may linger whose client does not answer a close; the connection itself ends at once.
  closeTimeout: 2_000,
  // Which subprotocol is spoken is for $connect to say.
  handleProtocols: (): string | false => false,
}

type Refusal = { readonly status: number; readonly reason: string }

/** The gateway's side of the connections: it runs the routes' functions and ends connections. */
export class Gateway {
  readonly stages: readonly string[]
  readonly #api: TemplateApi
  readonly #options: WebSocketApiOptions
  readonly #connections = new Map<string, Connection>()
  readonly #throttle = new StageThrottle()
  readonly #drain = new Drain()
  readonly #counts = { connects: 0, refusals: 0, messages: 0, posts: 0 }
  readonly #server = new WebSocketServer(SERVER_OPTIONS)
  #closing = false

  constructor(api: TemplateApi, options: WebSocketApiOptions) {
    this.#api = api
    this.#options = options
    this.stages = api.stages.map(({ name }) => name)
  }

  find(stage: string, connectionId: string): Connection | undefined {
    const connection = this.#connections.get(connectionId)
    return connection?.isOpen && connection.info.stage === stage ? connection : undefined
  }

  handleUpgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    this.#drain.add(this.#connect(request, socket, head))
  }

  drop(connectionId: string): boolean {
    const connection = this.#connections.get(connectionId)
    connection?.reset()
    return connection !== undefined
  }

  connectionIds(): string[] {
    return [...this.#connections].filter(([, { isOpen }]) => isOpen).map(([id]) => id)
  }

  countPost(): void {
    this.#counts.posts++
  }

  metrics(): WebSocketMetrics {
    return { open: this.connectionIds().length, ...this.#counts }
  }

  async close(graceMs: number): Promise<void> {
    this.#closing = true
    // Those that wait for $connect are closed when they open.
    for (const connection of this.#connections.values())
      if (connection.isOpen) connection.close({ code: 1001, reason: 'Going away' })
    await this.#drain.wait(graceMs)
  }

  async #connect(request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    const onSocketError = (error: Error) => this.#report('$connect', '-', error.message)
    socket.on('error', onSocketError)
    const path = (request.url ?? '/').replace(/\?.*$/, '').replace(/\/$/, '')
    const stage = this.#api.stages.find(({ name }) => path === `/${name}`)
    if (!stage || this.#closing) return this.#refuse(socket, { status: stage ? 503 : 403, reason: 'no such stage' })
    const connection = new Connection(this.#infoOf(request, stage), socket)
    const { connectionId } = connection.info
    // Known from here on, but not open: a post during $connect finds nobody.
    this.#connections.set(connectionId, connection)
    const outcome = await this.#runConnect(connection, request, stage)
    if ('status' in outcome) {
      this.#connections.delete(connectionId)
      this.#report('$connect', connectionId, `refused with ${outcome.status}: ${outcome.reason}`)
      return this.#refuse(socket, outcome)
    }
    socket.off('error', onSocketError)
    this.#upgrade(connection, request, socket, head, outcome.subprotocol)
  }

  #infoOf(request: IncomingMessage, stage: ApiStage): Connection['info'] {
    return {
      connectionId: newGatewayId(),
      connectedAt: Date.now(),
      apiId: this.#api.apiId,
      stage: stage.name,
      stageVariables: stage.variables,
      domainName: request.headers.host ?? 'localhost',
      sourceIp: (request.socket.remoteAddress ?? '').replace(/^::ffff:/, ''),
      userAgent: request.headers['user-agent'],
    }
  }

  /** Authorizes and runs `$connect`; every status but 2xx refuses the upgrade with that status. */
  async #runConnect(
    { info }: Connection,
    request: IncomingMessage,
    stage: ApiStage,
  ): Promise<Refusal | { readonly subprotocol: string | undefined }> {
    if (!this.#throttle.take(stage, '$connect')) return { status: 429, reason: 'throttled' }
    const route = this.#route('$connect')
    if (!route) return { subprotocol: undefined }
    try {
      if (route.authorizer) {
        const event = connectEvent(info, request)
        const authorization = await authorizeConnect(route.authorizer, info, event, this.#options.invoke)
        if (authorization.status !== 200) return authorization
        info.authorizer = authorization.authorizer
      }
      const result = await this.#invoke(route, connectEvent(info, request))
      if (result === 'timeout') return { status: 504, reason: 'the function took too long' }
      if (result.functionError) return { status: 502, reason: JSON.stringify(result.payload) }
      const answer = hasStatus(result.payload) ? httpAnswer(result.payload) : undefined
      if (!answer) return { status: 502, reason: 'the function did not answer a statusCode' }
      if (answer.statusCode < 200 || answer.statusCode > 299)
        return { status: answer.statusCode, reason: answer.body.toString() || 'the function said so' }
      const subprotocol = answer.headers['sec-websocket-protocol']
      return { subprotocol: typeof subprotocol === 'string' ? subprotocol : undefined }
    } catch (error) {
      return { status: 500, reason: (error as Error).message }
    }
  }

  #refuse(socket: Socket, { status }: Refusal): void {
    this.#counts.refusals++
    const body = JSON.stringify({ message: STATUS_CODES[status] ?? '' })
    const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`
    socket.end(
      `${head}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
    )
  }

  #upgrade(
    connection: Connection,
    request: IncomingMessage,
    socket: Socket,
    head: Buffer,
    subprotocol: string | undefined,
  ): void {
    this.#counts.connects++
    // $connect succeeded: a client that has gone since, or whose request ws refuses, must end in $disconnect, too.
    const onClose = () => this.#ended(connection, { code: 1006, reason: 'Connection closed abnormally' })
    if (socket.destroyed) {
      onClose()
      return
    }
    socket.once('close', onClose)
    const server = this.#serverFor(subprotocol)
    server.handleUpgrade(request, socket, head, (client: WebSocket) => {
      socket.off('close', onClose)
      limitFrames(client, MAX_FRAME_BYTES)
      connection.open(client, {
        idleTimeoutMs: this.#options.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
        maxDurationMs: this.#options.maxDurationMs ?? MAX_DURATION_MS,
        maxBufferedBytes: this.#options.maxBufferedBytes ?? 1024 * 1024,
        onMessage: (text) => this.#drain.add(this.#message(connection, text)),
        onEnd: (end) => this.#ended(connection, end),
        onProtocolError: (error) => this.#report('-', connection.info.connectionId, error.message),
      })
      if (this.#closing) connection.close({ code: 1001, reason: 'Going away' })
    })
  }

  /** ws picks the subprotocol per server, API Gateway by the answer of `$connect`. */
  #serverFor(subprotocol: string | undefined): WebSocketServer {
    if (subprotocol === undefined) return this.#server
    return new WebSocketServer({ ...SERVER_OPTIONS, handleProtocols: () => subprotocol })
  }

  async #message(connection: Connection, body: string): Promise<void> {
    this.#counts.messages++
    const { info } = connection
    const stage = this.#api.stages.find(({ name }) => name === info.stage)
    const routeKey = selectRoute(this.#api, body)
    const route = routeKey === undefined ? undefined : this.#route(routeKey)
    const event = messageEvent(info, routeKey ?? '$default', body)
    const fail = (message: string, reason: string) => {
      this.#report(routeKey ?? '-', info.connectionId, reason)
      const { requestId } = event.requestContext
      if (connection.isOpen) connection.send(JSON.stringify({ message, connectionId: info.connectionId, requestId }))
    }
    if (!route) return fail('Forbidden', 'no route')
    if (stage && !this.#throttle.take(stage, route.routeKey)) return fail('Too Many Requests', 'throttled')
    const jitterMs = this.#options.jitterMs?.() ?? 0
    if (jitterMs > 0) await delay(jitterMs)
    try {
      const result = await this.#invoke(route, event)
      if (result === 'timeout') fail('Endpoint request timed out', 'the function took too long')
      else if (result.functionError) fail('Internal server error', JSON.stringify(result.payload))
    } catch (error) {
      fail('Internal server error', (error as Error).message)
    }
  }

  #ended(connection: Connection, { code, reason }: Disconnection): void {
    if (!this.#connections.delete(connection.info.connectionId)) return
    const route = this.#route('$disconnect')
    if (!route) return
    const { info } = connection
    const report = (why: string) => this.#report('$disconnect', info.connectionId, why)
    this.#drain.add(
      this.#invoke(route, disconnectEvent(info, code, reason)).then(
        (result) => {
          if (result === 'timeout') report('the function took too long')
          else if (result.functionError) report(JSON.stringify(result.payload))
        },
        (error: Error) => report(error.message),
      ),
    )
  }

  async #invoke({ integration }: ApiRoute, event: WebSocketEvent): Promise<InvokeResponse | 'timeout'> {
    const timeoutMs = this.#options.integrationTimeoutMs ?? integration.timeoutMs
    try {
      return await invokeWithin(this.#options.invoke, integration.functionArn, event, timeoutMs)
    } catch (error) {
      throw error instanceof AwsError ? new Error(`the invocation was refused: ${error.code}`) : error
    }
  }

  #route(routeKey: string): ApiRoute | undefined {
    return this.#api.routes.find((route) => route.routeKey === routeKey)
  }

  #report(routeKey: string, connectionId: string, reason: string): void {
    const onFailure = this.#options.onFailure ?? ((key, id, why) => console.error(`WebSocket API ${key} ${id}: ${why}`))
    onFailure(routeKey, connectionId, reason)
  }
}

function hasStatus(payload: unknown): boolean {
  return typeof payload === 'object' && payload !== null && 'statusCode' in payload
}
