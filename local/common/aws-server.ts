import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { AwsError } from './aws-error.ts'
import { type AwsCall, type AwsJsonServer, accessKeyIdOf, type OnRequest } from './aws-json-server.ts'
import { BodyTooLarge, ClientAborted, readBody } from './http-body.ts'
import { closeServer, KEEP_ALIVE_MS, listen } from './listen.ts'

/** One operation found in a request, ready to be carried out. */
export interface FoundOperation {
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

/** A protocol of AWS other than AWS JSON (which `aws-json-server.ts` speaks): how requests and answers look. */
export interface AwsProtocol {
  /** Finds the operation that a request calls. Throws `AwsError` when there is none or the input cannot be read. */
  readonly find: (request: IncomingMessage, body: Buffer) => FoundOperation
  readonly answer: (operation: string, output: unknown, requestId: string) => WireAnswer
  readonly refuse: (error: AwsError, requestId: string) => WireAnswer
}

/** What `createAwsServer` takes. */
export interface AwsServerOptions {
  /** The service's name as `onRequest` sees it, for example `iam`. */
  readonly service: string
  readonly protocol: AwsProtocol
  readonly onRequest?: OnRequest | undefined
  /** 0, the default, takes a free port. */
  readonly port?: number | undefined
  /** Told of an operation that threw something other than an `AwsError`, which is a defect of the emulation. */
  readonly onDefect?: ((call: AwsCall | undefined, error: unknown) => void) | undefined
}

/** No request to EFS or IAM comes near this: a role policy has 10,240 characters at most. */
const MAX_BODY_BYTES = 1024 * 1024

/** Serves one AWS service on loopback. Signatures are read for the caller's key but not verified. */
export async function createAwsServer(options: AwsServerOptions): Promise<AwsJsonServer> {
  const server = createServer((request, response) => void serve(request, response, options))
  server.keepAliveTimeout = KEEP_ALIVE_MS
  const url = await listen(server, options.port)
  return { url, server, close: () => closeServer(server) }
}

async function serve(request: IncomingMessage, response: ServerResponse, options: AwsServerOptions): Promise<void> {
  const { service, protocol } = options
  const requestId = randomUUID()
  let call: AwsCall | undefined
  try {
    const body = await readBody(request, MAX_BODY_BYTES)
    const found = protocol.find(request, body)
    call = {
      service,
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
    send(response, found.status ?? 200, protocol.answer(found.name, output, requestId), requestId)
  } catch (error) {
    if (error instanceof ClientAborted) return
    const refused = toAwsError(error)
    if (refused === undefined) (options.onDefect ?? reportDefect(service))(call, error)
    const told = refused ?? new AwsError('InternalFailure', String(error), { statusCode: 500 })
    send(response, told.statusCode, protocol.refuse(told, requestId), requestId)
  }
}

function toAwsError(error: unknown): AwsError | undefined {
  if (error instanceof AwsError) return error
  if (error instanceof BodyTooLarge) return new AwsError('RequestEntityTooLarge', error.message, { statusCode: 413 })
  return undefined
}

function reportDefect(service: string): (call: AwsCall | undefined, error: unknown) => void {
  return (call, error) => console.error(`The local ${service} failed in ${call?.operation ?? 'a request'}:`, error)
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
