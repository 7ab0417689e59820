/** Calls to the existing Covibes server, each with the member's own bearer token. Its answers are parsed, never trusted. */
import * as z from 'zod'
import {
  type AppError,
  BadRequest,
  Conflict,
  Forbidden,
  NotFound,
  Refused,
  Unauthorized,
  Unavailable,
} from '../../domain/errors.ts'

/** Bytes of an answer that are read: 50 agents with some output are a small part of it. */
const MAX_ANSWER_BYTES = 4_000_000
/** Characters of its error text that are passed on. */
const MAX_ERROR_CHARS = 500

export interface ExistingServerCall<S extends z.ZodType> {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** From the root, without a query: `/api/agents`. */
  readonly path: string
  readonly token: string
  readonly body?: unknown
  readonly answer: S
  readonly timeoutMs: number
}

export interface ExistingServer {
  /**
   * @throws the AppError of its 4xx with its own words; Unavailable when it is not reached, too slow, failing (5xx), redirecting,
   * or answers something that does not parse.
   */
  call<S extends z.ZodType>(call: ExistingServerCall<S>): Promise<z.infer<S>>
}

/** @param baseUrl LEGACY_API_URL, with or without a trailing slash. */
export function createExistingServer(baseUrl: string): ExistingServer {
  const root = baseUrl.replace(/\/+$/, '')

  async function send({ method, path, token, body, timeoutMs }: ExistingServerCall<z.ZodType>): Promise<Answer> {
    const response = await fetch(`${root}${path}`, {
      method,
      headers: {
        accept: 'application/json',
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      // A redirect would carry the member's token to wherever it points.
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    })
    return { status: response.status, text: await readText(response) }
  }

  /** A connection kept from an earlier invocation may have died while the function was frozen; reading again does no harm. */
  async function sendTwiceAtMost(call: ExistingServerCall<z.ZodType>): Promise<Answer> {
    try {
      return await send(call)
    } catch (error) {
      if (call.method !== 'GET' || !wasReset(error)) throw error
      return await send(call)
    }
  }

  async function sendOrExplain(call: ExistingServerCall<z.ZodType>): Promise<Answer> {
    try {
      return await sendTwiceAtMost(call)
    } catch (error) {
      if (error instanceof TooLong) throw unreadable('its answer is too long')
      if (isTimeout(error)) throw new Unavailable('The existing server did not answer in time', { cause: error })
      throw new Unavailable('The existing server cannot be reached', { cause: error })
    }
  }

  return {
    async call(call) {
      const { status, text } = await sendOrExplain(call)
      if (status >= 400 && status < 500) throw refusal(status, text)
      if (status < 200 || status >= 300) throw new Unavailable(`The existing server failed (HTTP ${status})`)
      const parsed = call.answer.safeParse(jsonOrUndefined(text))
      if (parsed.success) return parsed.data
      const [issue] = parsed.error.issues
      throw unreadable(issue ? [...issue.path, issue.message].join(': ') : 'not what was expected')
    },
  }
}

interface Answer {
  readonly status: number
  readonly text: string
}
class TooLong extends Error {}

const isTimeout = (error: unknown): boolean => error instanceof Error && error.name === 'TimeoutError'

/** fetch's own error is a bare TypeError; what happened is its cause. */
function wasReset(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined
  return code === 'ECONNRESET' || code === 'UND_ERR_SOCKET' || code === 'EPIPE'
}

const unreadable = (problem: string) =>
  new Unavailable('The existing server gave an answer that cannot be read', { cause: new Error(problem) })

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength
    if (size > MAX_ANSWER_BYTES) throw new TooLong()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // An HTML page of a proxy in between, most likely: the schema refuses it.
    return undefined
  }
}

/** The existing server writes `{error}` in some routes and `{message}` in others; clients show `message` first. */
const ErrorBodySchema = z.object({
  message: z.string().min(1).optional().catch(undefined),
  error: z.string().min(1).optional().catch(undefined),
})

function refusal(status: number, text: string): AppError {
  const body = ErrorBodySchema.safeParse(jsonOrUndefined(text)).data
  const given = (body?.message ?? body?.error)?.replace(/\p{Cc}+/gu, ' ').trim()
  const words = given ? given.slice(0, MAX_ERROR_CHARS) : `The existing server refused this (HTTP ${status})`
  switch (status) {
    case 400:
      return new BadRequest(words)
    case 401:
      return new Unauthorized(words)
    case 403:
      return new Forbidden(words)
    case 404:
      return new NotFound(words)
    case 409:
      return new Conflict(words)
    default:
      return new Refused(status, words)
  }
}
