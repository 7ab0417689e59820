import type { IncomingMessage, ServerResponse } from 'node:http'
import type { CloudAssembly } from '../assembly/cloud-assembly.ts'
import { AwsError } from '../common/aws-error.ts'
import { Drain } from '../common/drain.ts'
import { BodyTooLarge, ClientAborted, readBody } from '../common/http-body.ts'
import type { InvokeResponse } from '../lambda/invoke-response.ts'
import { invokeWithin } from '../lambda/invoke-within.ts'
import type { Lambda } from '../lambda/lambda.ts'
import { Authorizers } from './authorization.ts'
import { preflightHeaders, withCors } from './cors.ts'
import { type HttpAnswer, httpAnswer } from './function-response.ts'
import { functionEvent, type RequestHead, type Routed, requestHead } from './request-event.ts'
import { RouteTable } from './route-table.ts'
import { type ApiStage, type LambdaIntegration, type TemplateApi, templateApi } from './template-api.ts'
import { StageThrottle } from './token-bucket.ts'

/** API Gateway's quotas for HTTP APIs: 10 MB of payload, 10,240 bytes of request line and header values. */
const MAX_BODY_BYTES = 10 * 1024 * 1024
const MAX_HEAD_BYTES = 10_240

/** A preflight's headers are complete; every other answer gets the API's CORS headers. */
type Answer = HttpAnswer & { readonly preflight?: true }

/** What `createHttpApi` takes. */
export interface HttpApiOptions {
  readonly assembly: CloudAssembly
  readonly invoke: Lambda['invoke']
  /** Which HTTP API, when the assembly has several. */
  readonly apiId?: string | undefined
  /** The longest wait for a function, in place of the integrations' own (30 s); for tests. */
  readonly integrationTimeoutMs?: number | undefined
  /** Told why a request was answered with 500 or 503; default prints it. */
  readonly onFailure?: ((request: string, reason: string) => void) | undefined
}

/** The assembly's HTTP API, to be mounted on a server. */
export interface HttpApi {
  readonly apiId: string
  /** The route keys, such as `GET /api/agents/{id}`. */
  readonly routeKeys: readonly string[]
  /** Handles a request completely. Never throws. */
  handle(request: IncomingMessage, response: ServerResponse): void
  /** Whether a route other than `$default` takes the request, for a mount that sends the others elsewhere. */
  hasRoute(method: string, path: string): boolean
  /** Resolves when the requests under way have been answered, at the latest after `graceMs` (10 s). */
  close(graceMs?: number): Promise<void>
}

/** An API Gateway HTTP API as the template declares it: routes, authorizers, throttling, CORS, payload format 2.0. */
export async function createHttpApi(options: HttpApiOptions): Promise<HttpApi> {
  return new LocalHttpApi(templateApi(options.assembly, 'HTTP', options.apiId), options)
}

class LocalHttpApi implements HttpApi {
  readonly apiId: string
  readonly routeKeys: readonly string[]
  readonly #api: TemplateApi
  readonly #options: HttpApiOptions
  readonly #routes: RouteTable
  readonly #authorizers: Authorizers
  readonly #throttle = new StageThrottle()
  readonly #drain = new Drain()

  constructor(api: TemplateApi, options: HttpApiOptions) {
    this.apiId = api.apiId
    this.routeKeys = api.routes.map(({ routeKey }) => routeKey)
    this.#api = api
    this.#options = options
    this.#routes = new RouteTable(api.routes)
    this.#authorizers = new Authorizers(options.invoke)
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    this.#drain.add(this.#handle(request, response))
  }

  hasRoute(method: string, path: string): boolean {
    const stage = this.#stageOf(path)
    const match = stage && this.#routes.match(method, pathWithin(stage, path))
    return match !== undefined && match.route.routeKey !== '$default'
  }

  close(graceMs = 10_000): Promise<void> {
    return this.#drain.wait(graceMs)
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const head = requestHead(request)
    let answer: Answer
    try {
      answer = await this.#answer(head, request)
    } catch (error) {
      if (error instanceof ClientAborted) return
      answer =
        error instanceof BodyTooLarge
          ? refusal(413, 'Request Entity Too Large')
          : this.#failure(head, 500, 'Internal Server Error', (error as Error).stack ?? String(error))
    }
    send(response, head, answer, this.#api)
  }

  async #answer(head: RequestHead, request: IncomingMessage): Promise<Answer> {
    const body = await readBody(request, MAX_BODY_BYTES)
    if (headBytes(head, request) > MAX_HEAD_BYTES) return refusal(431, 'Request Header Fields Too Large')
    const { cors } = this.#api
    const preflight = cors && preflightHeaders(cors, head.method, head.headers)
    if (preflight) return { statusCode: 204, headers: preflight, body: Buffer.alloc(0), preflight: true }
    const stage = this.#stageOf(head.path)
    const match = stage && this.#routes.match(head.method, pathWithin(stage, head.path))
    if (!stage || !match) return refusal(404, 'Not Found')
    const routed: Routed = { apiId: this.apiId, stage, match }
    if (!this.#throttle.take(stage, match.route.routeKey)) return refusal(429, 'Too Many Requests')
    const { authorizer, integration } = match.route
    let context: Readonly<Record<string, unknown>> | undefined
    if (authorizer) {
      const authorization = await this.#authorizers.authorize(authorizer, head, routed)
      if (authorization.outcome === 'unauthenticated') return refusal(401, 'Unauthorized')
      if (authorization.outcome === 'denied') return refusal(403, 'Forbidden')
      if (authorization.outcome === 'failed')
        return this.#failure(head, 500, 'Internal Server Error', authorization.reason)
      context = authorization.context
    }
    return this.#integrate(head, integration, functionEvent(head, routed, body, context))
  }

  async #integrate(head: RequestHead, integration: LambdaIntegration, event: unknown): Promise<HttpAnswer> {
    const timeoutMs = this.#options.integrationTimeoutMs ?? integration.timeoutMs
    let result: InvokeResponse | 'timeout'
    try {
      result = await invokeWithin(this.#options.invoke, integration.functionArn, event, timeoutMs)
    } catch (error) {
      if (!(error instanceof AwsError)) throw error
      if (error.statusCode === 413) return refusal(413, 'Request Entity Too Large')
      return this.#failure(head, 500, 'Internal Server Error', `the invocation was refused: ${error.code}`)
    }
    if (result === 'timeout')
      return this.#failure(head, 503, 'Service Unavailable', `the function took longer than ${timeoutMs} ms`)
    if (result.functionError)
      return this.#failure(head, 500, 'Internal Server Error', `the function failed: ${JSON.stringify(result.payload)}`)
    return (
      httpAnswer(result.payload) ??
      this.#failure(head, 500, 'Internal Server Error', 'the function answered in a wrong format')
    )
  }

  #failure(head: RequestHead, statusCode: number, message: string, reason: string): HttpAnswer {
    const onFailure =
      this.#options.onFailure ?? ((request, why) => console.error(`HTTP API ${statusCode} ${request}: ${why}`))
    onFailure(`${head.method} ${head.path}`, reason)
    return refusal(statusCode, message)
  }

  #stageOf(path: string): ApiStage | undefined {
    const name = path.split('/', 2)[1]
    const { stages } = this.#api
    return stages.find((stage) => stage.name === name) ?? stages.find((stage) => stage.name === '$default')
  }
}

function pathWithin(stage: ApiStage, path: string): string {
  return stage.name === '$default' ? path : path.slice(stage.name.length + 1) || '/'
}

function headBytes({ method, headers, cookies }: RequestHead, request: IncomingMessage): number {
  const values = [method, request.url ?? '', 'HTTP/1.1', ...Object.values(headers), ...cookies]
  return values.reduce((sum, value) => sum + Buffer.byteLength(value), 0)
}

/** An answer in API Gateway's own words. */
function refusal(statusCode: number, message: string): HttpAnswer {
  return { statusCode, headers: { 'content-type': 'application/json' }, body: Buffer.from(JSON.stringify({ message })) }
}

function send(response: ServerResponse, head: RequestHead, answer: Answer, { cors }: TemplateApi): void {
  if (response.destroyed || response.writableEnded) return // the client has gone
  const bodyless = answer.statusCode === 204 || answer.statusCode === 304 || answer.statusCode < 200
  const headers = answer.preflight ? answer.headers : withCors(cors, head.headers.origin, answer.headers)
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  response.setHeader('apigw-requestid', head.requestId)
  if (!bodyless) response.setHeader('content-length', answer.body.length)
  response.statusCode = answer.statusCode
  response.end(bodyless ? undefined : answer.body)
}
