/** Requests and answers of the stand-in: JSON in, JSON out, refusals in the existing server's words. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type * as z from 'zod'
import { BodyTooLarge, readBody } from '../common/http-body.ts'
import type { Claims } from './tokens.ts'

/** Express's own default is 100 kB; files saved in the editor are larger. */
const MAX_BODY_BYTES = 1_000_000

export interface Answer {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** Whom the request's token names; an account need not exist. */
export type Member = Claims

export interface Context {
  readonly request: IncomingMessage
  /** The path's `:id`. */
  readonly id: string
  /** @throws Refusal 401 without a token, 403 with a bad one. */
  member(): Promise<Member>
}
export type Handler = (context: Context) => Promise<Answer>

export const ok = (body: unknown, status = 200): Answer => ({ status, body })

/** An answer of 4xx, thrown. */
export class Refusal extends Error {
  readonly answer: Answer

  constructor(status: number, error: string, more: Readonly<Record<string, unknown>> = {}) {
    super(error)
    this.answer = { status, body: { error, ...more } }
  }
}

/** The request's JSON body by a schema. @throws Refusal 400 with the `details` of each wrong field, 413 */
export async function bodyOf<S extends z.ZodType>(request: IncomingMessage, schema: S): Promise<z.infer<S>> {
  const parsed = schema.safeParse(await jsonOf(request))
  if (parsed.success) return parsed.data
  const details = parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), msg: message }))
  throw new Refusal(400, 'Validation failed', { details })
}

async function jsonOf(request: IncomingMessage): Promise<unknown> {
  let bytes: Buffer
  try {
    bytes = await readBody(request, MAX_BODY_BYTES)
  } catch (error) {
    if (error instanceof BodyTooLarge) throw new Refusal(413, 'Request body too large')
    throw error
  }
  try {
    return bytes.length === 0 ? {} : JSON.parse(bytes.toString('utf8'))
  } catch {
    throw new Refusal(400, 'Invalid JSON')
  }
}

export function send(response: ServerResponse, { status, body, headers = {} }: Answer): void {
  if (response.destroyed) return
  const text = body === undefined ? '' : JSON.stringify(body)
  response.writeHead(status, {
    ...(body === undefined ? {} : { 'content-type': 'application/json; charset=utf-8' }),
    'content-length': Buffer.byteLength(text),
    ...headers,
  })
  response.end(text)
}
