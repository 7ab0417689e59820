import { randomUUID } from 'node:crypto'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { AwsError } from './aws-error.ts'
import { BodyTooLarge, ClientAborted, readBody } from './http-body.ts'
import { closeServer, KEEP_ALIVE_MS, listen } from './listen.ts'

/** One call as it arrived, before its operation runs. */
export interface AwsCall {
  /** The service's name as given in `AwsJsonService.name`, for example `ecs`. */
  readonly service: string
  /** The operation's name, for example `RunTask`. */
  readonly operation: string
  readonly headers: IncomingHttpHeaders
  /** The path of the request; SQS queue URLs have one. */
  readonly path: string
  readonly requestId: string
  /** The access key in the request's signature, which tells who calls; undefined for an unsigned request. */
  readonly accessKeyId: string | undefined
  readonly input: Readonly<Record<string, unknown>>
}

/** What `onRequest` may do to a call: lose it before it has an effect, or carry it out and lose the answer. */
export type Disturbance = 'lose-request' | 'lose-answer'

/**
 * Sees each call before it is carried out. It may count it, hold it up (by returning a promise), refuse it (by throwing
 * an `AwsError`), or lose it or its answer, which the client sees as a connection reset.
 */
export type OnRequest = (call: AwsCall) => Disturbance | undefined | Promise<Disturbance | undefined>

/** Answers one operation. `undefined` is answered as `{}`. Throw an `AwsError` to refuse. */
// biome-ignore lint/suspicious/noExplicitAny: the input is checked by each operation; the wire has no type
export type AwsOperation = (input: any, call: AwsCall) => unknown

/** One AWS service behind the JSON protocols. */
export interface AwsJsonService {
  /** Handed to `onRequest`, for example `ecs`. */
  readonly name: string
  /** The part of `X-Amz-Target` before the dot, for example `AmazonEC2ContainerServiceV20141113`. */
  readonly target: string
  /** The protocol's version, which names the content type: DynamoDB and SQS speak 1.0, most others 1.1. */
  readonly version: '1.0' | '1.1'
  /** Put before the code in `__type`, for example `com.amazonaws.dynamodb.v20120810#`. */
  readonly errorPrefix?: string
  readonly operations: Readonly<Record<string, AwsOperation>>
}

/** What `createAwsJsonServer` takes. */
export interface AwsJsonServerOptions {
  readonly services: readonly AwsJsonService[]
  readonly onRequest?: OnRequest | undefined
  /** 0, the default, takes a free port. */
  readonly port?: number | undefined
  readonly host?: string | undefined
  /** Larger requests are refused with `RequestEntityTooLargeException`; default 16 MB (DynamoDB's batch limit). */
  readonly maxBodyBytes?: number | undefined
  /** Told of an operation that threw something other than an `AwsError`, which is a defect of the emulation. */
  readonly onDefect?: ((call: AwsCall, error: unknown) => void) | undefined
}

/** A running server. */
export interface AwsJsonServer {
  /** The value for `AWS_ENDPOINT_URL_<SERVICE>`. */
  readonly url: string
  readonly server: Server
  close(): Promise<void>
}

const DEFAULT_MAX_BODY_BYTES = 16 * 1024 * 1024

/** The access key id in a Signature Version 4 `Authorization` header; undefined when there is none. */
export function accessKeyIdOf(headers: IncomingHttpHeaders): string | undefined {
  return /Credential=([^/,\s]+)\//.exec(headers.authorization ?? '')?.[1]
}

/**
 * Serves AWS services that speak AWS JSON 1.0 or 1.1, on loopback. All clients of SDK v3 that this project uses send
 * these protocols (DynamoDB and SQS 1.0; ECS, EventBridge and Secrets Manager 1.1); none sends Smithy RPC v2 CBOR.
 * Signatures are read for the caller's key but not verified.
 */
export async function createAwsJsonServer(options: AwsJsonServerOptions): Promise<AwsJsonServer> {
  const byTarget = new Map(options.services.map((service) => [service.target, service]))
  const server = createServer((request, response) => {
    void serve(request, response, byTarget, options)
  })
  server.keepAliveTimeout = KEEP_ALIVE_MS
  const url = await listen(server, options.port, options.host)
  return { url, server, close: () => closeServer(server) }
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  byTarget: ReadonlyMap<string, AwsJsonService>,
  options: AwsJsonServerOptions,
): Promise<void> {
  const requestId = randomUUID()
  const [target = '', operation = ''] = String(request.headers['x-amz-target'] ?? '').split('.')
  const service = byTarget.get(target)
  let call: AwsCall | undefined
  try {
    const body = await readBody(request, options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES)
    const run = service && Object.hasOwn(service.operations, operation) ? service.operations[operation] : undefined
    if (!service || !run) throw unknownOperation(request)
    call = {
      service: service.name,
      operation,
      headers: request.headers,
      path: request.url ?? '/',
      requestId,
      accessKeyId: accessKeyIdOf(request.headers),
      input: parseInput(body),
    }
    const disturbance = await options.onRequest?.(call)
    if (disturbance === 'lose-request') return reset(request)
    const output = await run(call.input, call)
    if (disturbance === 'lose-answer') return reset(request)
    answer(response, service, requestId, 200, output ?? {})
  } catch (error) {
    if (error instanceof ClientAborted) return
    const refused = toAwsError(error)
    if (refused === undefined && call) (options.onDefect ?? reportDefect)(call, error)
    const { code, message, statusCode, fields, headers } =
      refused ?? new AwsError('InternalServerError', String(error), { statusCode: 500 })
    const body = { __type: `${service?.errorPrefix ?? ''}${code}`, message, ...fields }
    answer(response, service, requestId, statusCode, body, headers)
  }
}

function unknownOperation(request: IncomingMessage): AwsError {
  const protocol = request.headers['smithy-protocol']
  const asked = protocol ? `${request.url} (${protocol})` : String(request.headers['x-amz-target'] ?? request.url)
  return new AwsError('UnknownOperationException', `The local endpoint does not carry out ${asked}`)
}

function parseInput(body: Buffer): Record<string, unknown> {
  if (body.length === 0) return {}
  let input: unknown
  try {
    input = JSON.parse(body.toString('utf8'))
  } catch (error) {
    throw new AwsError('SerializationException', `The body is not JSON: ${(error as Error).message}`)
  }
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    throw new AwsError('SerializationException', 'The body is not a JSON object')
  return input as Record<string, unknown>
}

function toAwsError(error: unknown): AwsError | undefined {
  if (error instanceof AwsError) return error
  if (error instanceof BodyTooLarge)
    return new AwsError('RequestEntityTooLargeException', error.message, { statusCode: 413 })
  return undefined
}

function reportDefect(call: AwsCall, error: unknown): void {
  console.error(`The local ${call.service} failed in ${call.operation}:`, error)
}

function answer(
  response: ServerResponse,
  service: AwsJsonService | undefined,
  requestId: string,
  statusCode: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const bytes = Buffer.from(JSON.stringify(body))
  response.writeHead(statusCode, {
    'content-type': `application/x-amz-json-${service?.version ?? '1.1'}`,
    'content-length': bytes.length,
    'x-amzn-requestid': requestId,
    ...headers,
  })
  response.end(bytes)
}

function reset(request: IncomingMessage): void {
  request.socket.resetAndDestroy()
}
