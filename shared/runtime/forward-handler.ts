/** The bundle behind the routes that are the existing server's: the gateway's event in, its answer out, byte by byte. */
import type { Context } from 'aws-lambda'
import * as z from 'zod'
import { LAMBDA_MAX_RESPONSE_BYTES } from '../contracts/limits.ts'
import { ForwardingFailed, type ForwardingFailure } from '../domain/forwarding/errors.ts'
import type { ForwardedAnswer, ForwardRequest } from '../domain/forwarding/ports.ts'
import { correlationIdFrom, inScope } from './correlation.ts'
import { toHttpError } from './errors-to-http.ts'
import { errorFields } from './invocation.ts'
import { logger } from './logger.ts'
import { describeIssues } from './validation.ts'

const ForwardEventSchema = z.object({
  rawPath: z.string(),
  rawQueryString: z.string().default(''),
  cookies: z.array(z.string()).default([]),
  headers: z.record(z.string(), z.string()).default({}),
  body: z.string().default(''),
  isBase64Encoded: z.boolean().default(false),
  requestContext: z.object({
    requestId: z.string().min(1),
    domainName: z.string().default(''),
    http: z.object({ method: z.string().min(1) }),
  }),
})
type ForwardEvent = z.infer<typeof ForwardEventSchema>

/** What goes back to API Gateway (payload 2.0). */
export interface ForwardResult {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>
  readonly cookies?: readonly string[]
  readonly body: string
  readonly isBase64Encoded: boolean
}
export type ForwardFunction = (event: unknown, context: Context) => Promise<ForwardResult>

/** Status and code of the answers that are given in the existing server's place. */
const REFUSALS: Readonly<Record<ForwardingFailure, { readonly status: number; readonly code: string }>> = {
  'not-configured': { status: 404, code: 'NOT_FOUND' },
  'not-foreign': { status: 404, code: 'NOT_FOUND' },
  unreachable: { status: 502, code: 'BAD_GATEWAY' },
  'too-large': { status: 502, code: 'BAD_GATEWAY' },
  aborted: { status: 502, code: 'BAD_GATEWAY' },
  timeout: { status: 504, code: 'GATEWAY_TIMEOUT' },
}

/** Bytes that head and envelope of an answer take at most beside its body; API Gateway allows 10,240 of headers. */
const ENVELOPE_BYTES = 32 * 1024

/**
 * The Lambda handler of forwarded routes. The returned function never throws: what went wrong is `{message, code, requestId}`
 * with 502, 504 or, without an existing server, 404.
 */
export function forwardHandler(handle: (request: ForwardRequest) => Promise<ForwardedAnswer>): ForwardFunction {
  return async (given, context) => {
    const startedAt = performance.now()
    logger.addContext(context)
    const parsed = ForwardEventSchema.safeParse(given)
    if (!parsed.success) {
      logger.error('Not an HTTP API event', { problem: describeIssues(parsed.error, 'event') })
      return refusal(500, 'INTERNAL', 'Internal error', context.awsRequestId)
    }
    const event = parsed.data
    const { requestId, http } = event.requestContext
    const correlationId = correlationIdFrom(event.headers['x-correlation-id'], requestId)
    // Neither path nor query: links of the existing server may carry its tokens in them.
    return inScope({ correlationId, fields: { requestId, method: http.method } }, async () => {
      const result = await answerTo(event, handle)
      const durationMs = Math.round(performance.now() - startedAt)
      logger.info('Request answered', { status: result.statusCode, durationMs })
      return result
    })
  }
}

async function answerTo(
  event: ForwardEvent,
  handle: (request: ForwardRequest) => Promise<ForwardedAnswer>,
): Promise<ForwardResult> {
  try {
    return resultOf(await handle(requestOf(event)))
  } catch (error) {
    const { requestId } = event.requestContext
    if (error instanceof ForwardingFailed) {
      const { status, code } = REFUSALS[error.failure]
      if (status >= 500) logger.error('Request not forwarded', { failure: error.failure, ...errorFields(error) })
      return refusal(status, code, error.message, requestId)
    }
    const { status, code, message } = toHttpError(error)
    logger.error('Request failed', { status, code, ...errorFields(error) })
    return refusal(status, code, message, requestId)
  }
}

const requestOf = ({ rawPath, rawQueryString, headers, cookies, body, ...rest }: ForwardEvent): ForwardRequest => ({
  method: rest.requestContext.http.method,
  path: rawPath,
  rawQuery: rawQueryString,
  headers,
  cookies,
  body: Buffer.from(body, rest.isBase64Encoded ? 'base64' : 'utf8'),
  host: headers.host ?? rest.requestContext.domainName,
})

/** @throws ForwardingFailed when the answer does not fit into what a function may give back. */
function resultOf({ status, headers, cookies, body }: ForwardedAnswer): ForwardResult {
  return {
    statusCode: status,
    headers,
    ...(cookies.length > 0 ? { cookies } : {}),
    ...encoded(body),
  }
}

/** Base64 keeps every byte whatever the charset; text that only fits as text goes as text. */
function encoded(body: Buffer): Pick<ForwardResult, 'body' | 'isBase64Encoded'> {
  if (body.length === 0) return { body: '', isBase64Encoded: false }
  const room = LAMBDA_MAX_RESPONSE_BYTES - ENVELOPE_BYTES
  if (Math.ceil(body.length / 3) * 4 <= room) return { body: body.toString('base64'), isBase64Encoded: true }
  const text = body.toString('utf8')
  const isFaithful = body.length <= room && Buffer.from(text).equals(body)
  if (isFaithful && Buffer.byteLength(JSON.stringify(text)) <= room) return { body: text, isBase64Encoded: false }
  throw new ForwardingFailed('too-large')
}

function refusal(statusCode: number, code: string, message: string, requestId: string): ForwardResult {
  return {
    statusCode,
    headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' },
    body: JSON.stringify({ message, code, requestId }),
    isBase64Encoded: false,
  }
}
