import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AwsCall, accessKeyIdOf, type OnRequest } from './aws-call.ts'
import { AwsError } from './aws-error.ts'
import { BodyTooLarge, ClientAborted, readBody } from './http-body.ts'
import { closeServer, KEEP_ALIVE_MS, listen } from './listen.ts'

/** One operation found in a request, ready to be carried out. */
export interface FoundOperation {
  /** The service's name as `onRequest` sees it, for example `iam`. */
  readonly service: string
  readonly name: string
  readonly input: Readonly<Record<string, unknown>>
  readonly run: (call: AwsCall) => unknown
  /** Status of a success; 200 unless the operation's model says otherwise. */
  readonly status?: number
}

/** What goes back to the client. */
export interface WireAnswer {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** A protocol of AWS: how requests and answers look. */
export interface AwsProtocol {
  /** Codes of the errors that any service may answer. */
  readonly codes: { readonly tooLarge: string; readonly internal: string }
  /** Finds the operation that a request calls. Throws `AwsError` when there is none or the input cannot be read. */
  readonly find: (request: IncomingMessage, body: Buffer) => FoundOperation
  readonly answer: (found: FoundOperation, output: unknown, exchange: Exchange) => WireAnswer
  readonly refuse: (error: AwsError, exchange: Exchange) => WireAnswer
}

/** A request, and the id that it is answered with. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly requestId: string
}

/** What `createAwsServer` takes. */
export interface AwsServerOptions {
  readonly protocol: AwsProtocol
  readonly onRequest?: OnRequest | undefined
  /** 0, the default, takes a free port. */
  readonly port?: number | undefined
  readonly host?: string | undefined
  /** Larger requests are refused with 413; default 1 MB. */
  readonly maxBodyBytes?: number | undefined
  /** Told of an operation that threw something other than an `AwsError`, which is a defect of the emulation. */
  readonly onDefect?: ((call: AwsCall | undefined, error: unknown) => void) | undefined
}

/** A running server. */
export interface AwsServer {
  /** The value for `AWS_ENDPOINT_URL_<SERVICE>`. */
  readonly url: string
  readonly server: Server
  close(): Promise<void>
}

/** No request to EFS or IAM comes near this: a role policy has 10,240 characters at most. */
const DEFAULT_MAX_BODY_BYTES = 1024 * 1024

/** Serves AWS services of one protocol on loopback. Signatures are read for the caller's key but not verified. */
export async function createAwsServer(options: AwsServerOptions): Promise<AwsServer> {
  const server = createServer((request, response) => void serve(request, response, options))
  server.keepAliveTimeout = KEEP_ALIVE_MS
  const url = await listen(server, options.port, options.host)
  return { url, server, close: () => closeServer(server) }
}

async function serve(request: IncomingMessage, response: ServerResponse, options: AwsServerOptions): Promise<void> {
  const { protocol } = options
  const requestId = randomUUID()
  const exchange = { request, requestId }
  let call: AwsCall | undefined
  try {
    const body = await readBody(request, options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES)
    const found = protocol.find(request, body)
    call = {
      service: found.service,
      operation: found.name,
      headers: request.headers,
      path: request.url ?? '/',
      requestId,
      accessKeyId: accessKeyIdOf(request.headers),
      input: found.input,
    }
    const disturbance = await options.onRequest?.(call)
    if (disturbance === 'lose-request') return reset(request)
    const output = await found.run(call)
    if (disturbance === 'lose-answer') return reset(request)
    send(response, found.status ?? 200, protocol.answer(found, output, exchange), requestId)
  } catch (error) {
    if (error instanceof ClientAborted) return
    const refused = toAwsError(error, protocol)
    if (refused === undefined) (options.onDefect ?? reportDefect)(call, error)
    const told = refused ?? new AwsError(protocol.codes.internal, String(error), { statusCode: 500 })
    send(response, told.statusCode, protocol.refuse(told, exchange), requestId)
  }
}

function toAwsError(error: unknown, { codes }: AwsProtocol): AwsError | undefined {
  if (error instanceof AwsError) return error
  if (error instanceof BodyTooLarge) return new AwsError(codes.tooLarge, error.message, { statusCode: 413 })
  return undefined
}

function reportDefect(call: AwsCall | undefined, error: unknown): void {
  console.error(`The local ${call?.service ?? 'AWS'} failed in ${call?.operation ?? 'a request'}:`, error)
}

function send(response: ServerResponse, status: number, { headers, body }: WireAnswer, requestId: string): void {
  // A 204 has no body, and no length of one.
  const length = status === 204 ? {} : { 'content-length': String(Buffer.byteLength(body)) }
  response.writeHead(status, { ...length, 'x-amzn-requestid': requestId, ...headers })
  response.end(status === 204 ? undefined : body)
}

function reset(request: IncomingMessage): void {
  request.socket.resetAndDestroy()
}
