/**
 * The bundle behind every HTTP function: parses by the route's schemas, finds out who asks, answers JSON, turns errors into
 * `{message, code, requestId, details?}`, and gives every log line the correlation id.
 */
import middy, { type MiddlewareObj } from '@middy/core'
import type { Context } from 'aws-lambda'
import type * as z from 'zod'
import type { ErrorAnswerSchema, Route, RouteAnswer } from '../contracts/routes.ts'
import { ActorSchema } from '../domain/actor.ts'
import { Unavailable } from '../domain/errors.ts'
import { correlationIdFrom, inScope } from './correlation.ts'
import { type HttpError, isFault, toHttpError } from './errors-to-http.ts'
import { type HttpEvent, HttpEventSchema, type HttpRequest, parseRequest } from './http-event.ts'
import { errorFields } from './invocation.ts'
import { logger } from './logger.ts'
import { describeIssues } from './validation.ts'

/** What goes back to API Gateway (payload 2.0). */
export interface HttpResult {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}
export type HttpFunction = (event: unknown, context: Context) => Promise<HttpResult>

/** An answer that is not simply 200 with JSON: made by `answer`. */
export class HttpAnswer {
  readonly statusCode: number
  readonly body: unknown
  readonly headers: Readonly<Record<string, string>>

  constructor(statusCode: number, body: unknown, headers: Readonly<Record<string, string>>) {
    this.statusCode = statusCode
    this.body = body
    this.headers = headers
  }
}

/** `body`: a string goes out as it is (`text/plain` unless `headers` say otherwise), undefined as an empty body, anything else as JSON. */
export const answer = (
  statusCode: number,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): HttpAnswer => new HttpAnswer(statusCode, body, headers)

/** Milliseconds before the function's own timeout at which a 503 with a text is answered instead of the platform's bare one. */
const ANSWER_BEFORE_TIMEOUT_MS = 300

/** Answers are about one member's team at one moment: no cache may keep them. */
const JSON_HEADERS = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' } as const

function toResult(given: unknown): HttpResult {
  const { statusCode, body, headers } = given instanceof HttpAnswer ? given : answer(200, given)
  if (body === undefined) return { statusCode, headers: { 'cache-control': 'no-store', ...headers }, body: '' }
  if (typeof body !== 'string')
    return { statusCode, headers: { ...JSON_HEADERS, ...headers }, body: JSON.stringify(body) }
  const text = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' }
  return { statusCode, headers: { ...text, ...headers }, body }
}

function errorResult(error: HttpError, requestId: string): HttpResult {
  const body: z.infer<typeof ErrorAnswerSchema> = {
    message: error.message,
    code: error.code,
    requestId,
    ...(error.details ? { details: [...error.details] } : {}),
  }
  const retry = error.retryAfterSeconds === undefined ? {} : { 'retry-after': String(error.retryAfterSeconds) }
  return toResult(answer(error.status, body, retry))
}

function logError(error: unknown, shown: HttpError): void {
  const fields = { status: shown.status, code: shown.code }
  // Said on purpose, with nothing broken behind it: a workspace that is being woken, say.
  const isPutOff = error instanceof Unavailable && error.cause === undefined
  if (isPutOff) logger.warn('Request put off', { ...fields, reason: shown.message })
  else if (isFault(shown)) logger.error('Request failed', { ...fields, ...errorFields(error) })
  else logger.info('Request refused', { ...fields, reason: shown.message })
}

/** The answer to a failure outside of a handler, logged like one inside. */
export function failed(error: unknown, requestId: string): HttpResult {
  const shown = toHttpError(error)
  logError(error, shown)
  return errorResult(shown, requestId)
}

const correlationIdOf = (event: HttpEvent): string =>
  correlationIdFrom(event.headers['x-correlation-id'], event.requestContext.requestId)

/** Errors become answers; the correlation id goes back with every answer. */
const httpAnswers: MiddlewareObj<HttpEvent, HttpResult> = {
  after: (request) => {
    request.response &&= withCorrelation(request.event, request.response)
  },
  onError: (request) => {
    const shown = toHttpError(request.error)
    logError(request.error, shown)
    const result = errorResult(shown, request.event.requestContext.requestId)
    request.response = withCorrelation(request.event, result)
  },
}

const withCorrelation = (event: HttpEvent, result: HttpResult): HttpResult => ({
  ...result,
  headers: { ...result.headers, 'x-correlation-id': correlationIdOf(event) },
})

/** The authorizer's words on who asks, for log lines only; parseRequest judges them. */
function logFields(route: Route, event: HttpEvent): Record<string, unknown> {
  const member = ActorSchema.safeParse(event.requestContext.authorizer?.lambda).data
  return { requestId: event.requestContext.requestId, route: `${route.method} ${route.path}`, ...member }
}

/** A route that needs no more than the gateway and the schemas: signed ones have a bundle of their own. */
export type PlainRoute = Route & { readonly auth: Exclude<Route['auth'], 'signature'> }

/**
 * The Lambda handler of a route. `handle` returns the route's answer (200) or what `answer` made; what it throws becomes an
 * error answer. The returned function never throws.
 */
export const httpHandler = <R extends PlainRoute>(
  route: R,
  handle: (request: HttpRequest<R>) => Promise<RouteAnswer<R> | HttpAnswer>,
): HttpFunction => guardedHandler(route, async () => undefined, handle)

/** @param guard Looks at a request before anything of it is parsed; what it throws is the answer. */
export function guardedHandler<R extends Route>(
  route: R,
  guard: (event: HttpEvent) => Promise<void>,
  handle: (request: HttpRequest<R>) => Promise<RouteAnswer<R> | HttpAnswer>,
): HttpFunction {
  const respond = middy<HttpEvent, HttpResult>({ timeoutEarlyInMillis: ANSWER_BEFORE_TIMEOUT_MS })
    .use(httpAnswers)
    .handler(async (event: HttpEvent) => {
      await guard(event)
      return toResult(await handle(parseRequest(route, event, correlationIdOf(event))))
    })

  return async (given, context) => {
    const startedAt = performance.now()
    logger.addContext(context)
    const event = HttpEventSchema.safeParse(given)
    if (!event.success) {
      logger.error('Not an HTTP API event', { problem: describeIssues(event.error, 'event') })
      return errorResult(toHttpError(event.error), context.awsRequestId)
    }
    const scope = { correlationId: correlationIdOf(event.data), fields: logFields(route, event.data) }
    return inScope(scope, async () => {
      const result = await respond(event.data, context)
      const durationMs = Math.round(performance.now() - startedAt)
      logger.info('Request answered', { status: result.statusCode, durationMs })
      return result
    })
  }
}
