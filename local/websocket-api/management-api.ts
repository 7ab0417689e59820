import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AwsCall, accessKeyIdOf, type OnRequest } from '../common/aws-call.ts'
import { AwsError } from '../common/aws-error.ts'
import { BodyTooLarge, ClientAborted, readBody } from '../common/http-body.ts'
import { closeServer, KEEP_ALIVE_MS, listen } from '../common/listen.ts'
import type { Connection } from './connection.ts'

/** API Gateway's limit for a message, in both directions. */
export const MAX_MESSAGE_BYTES = 128 * 1024

/** What the management endpoint works on. */
export interface ManagementOptions {
  readonly stages: readonly string[]
  /** The open connection of a stage; undefined when there is none, or it is still waiting for `$connect`. */
  readonly find: (stage: string, connectionId: string) => Connection | undefined
  readonly onRequest: OnRequest | undefined
  readonly onPost: () => void
  readonly port: number | undefined
}

const OPERATIONS: Readonly<Record<string, string>> = {
  POST: 'PostToConnection',
  GET: 'GetConnection',
  DELETE: 'DeleteConnection',
}

/** Serves `/{stage}/@connections/{id}`. */
export async function createManagementApi(
  options: ManagementOptions,
): Promise<{ url: string; close(): Promise<void> }> {
  const server: Server = createServer((request, response) => void serve(request, response, options))
  server.keepAliveTimeout = KEEP_ALIVE_MS
  const url = await listen(server, options.port)
  return { url, close: () => closeServer(server) }
}

async function serve(request: IncomingMessage, response: ServerResponse, options: ManagementOptions): Promise<void> {
  const requestId = randomUUID()
  try {
    const body = await readBody(request, MAX_MESSAGE_BYTES)
    const call = callOf(request, requestId, options)
    const disturbance = await options.onRequest?.(call)
    if (disturbance === 'lose-request') return void request.socket.resetAndDestroy()
    const answer = carryOut(call, body, options)
    if (disturbance === 'lose-answer') return void request.socket.resetAndDestroy()
    send(response, requestId, call.operation === 'DeleteConnection' ? 204 : 200, answer)
  } catch (error) {
    if (error instanceof ClientAborted) return
    const refused = error instanceof AwsError ? error : refusalOf(error)
    send(response, requestId, refused.statusCode, { message: refused.message }, refused.code)
  }
}

interface ManagementCall extends AwsCall {
  readonly input: { readonly ConnectionId: string; readonly stage: string }
}

function callOf(request: IncomingMessage, requestId: string, { stages }: ManagementOptions): ManagementCall {
  const path = (request.url ?? '/').replace(/\?.*$/, '')
  const [, stage = '', id = ''] = /^\/([^/]+)\/(?:@|%40)connections\/([^/]+)$/i.exec(path) ?? []
  const operation = OPERATIONS[request.method ?? '']
  if (!operation || id === '' || !stages.includes(stage))
    throw new AwsError('ForbiddenException', 'Forbidden', { statusCode: 403 })
  if (request.headers.authorization === undefined)
    throw new AwsError('ForbiddenException', 'Missing Authentication Token', { statusCode: 403 })
  return {
    service: 'apigatewaymanagementapi',
    operation,
    headers: request.headers,
    path,
    requestId,
    accessKeyId: accessKeyIdOf(request.headers),
    input: { ConnectionId: decodeURIComponent(id), stage },
  }
}

function carryOut({ operation, input }: ManagementCall, body: Buffer, options: ManagementOptions): object | undefined {
  const connection = options.find(input.stage, input.ConnectionId)
  if (!connection) throw new AwsError('GoneException', 'Gone', { statusCode: 410 })
  if (operation === 'GetConnection') {
    const { connectedAt, sourceIp, userAgent = '' } = connection.info
    return {
      connectedAt: new Date(connectedAt).toISOString(),
      identity: { sourceIp, userAgent },
      lastActiveAt: new Date(connection.lastActiveAt).toISOString(),
    }
  }
  if (operation === 'DeleteConnection') {
    connection.close({ code: 1000, reason: 'Connection Closed Normally' })
    return undefined
  }
  options.onPost()
  if (!connection.send(body.toString('utf8')))
    throw new AwsError('LimitExceededException', 'The client reads too slowly', { statusCode: 429 })
  return undefined
}

function refusalOf(error: unknown): AwsError {
  if (error instanceof BodyTooLarge)
    return new AwsError('PayloadTooLargeException', 'The message is larger than 128 KB', { statusCode: 413 })
  console.error('The local management API failed:', error)
  return new AwsError('InternalServerError', String(error), { statusCode: 500 })
}

function send(
  response: ServerResponse,
  requestId: string,
  statusCode: number,
  body: object | undefined,
  errorType?: string,
): void {
  const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
  response.writeHead(statusCode, {
    'x-amzn-requestid': requestId,
    ...(errorType !== undefined && { 'x-amzn-errortype': errorType }),
    ...(bytes && { 'content-type': 'application/json' }),
    ...(statusCode !== 204 && { 'content-length': bytes?.length ?? 0 }),
  })
  response.end(bytes)
}
