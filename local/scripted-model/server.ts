import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { BodyTooLarge, ClientAborted, readBody } from '../common/http-body.ts'
import { closeServer, listen } from '../common/listen.ts'
import { nextReply } from './conversation.ts'
import { countTokens, MessagesRequestSchema, toMessage, toStream } from './messages-api.ts'

/** Largest request in bytes, as the real API has it (docs.anthropic.com/en/api/overview: 32 MB). */
const MAX_REQUEST_BYTES = 32 * 1024 * 1024

export type ScriptedModel = {
  /** What `ANTHROPIC_BASE_URL` is set to. */
  readonly url: string
  close(): Promise<void>
}

export type ScriptedModelOptions = {
  /** 0, the default, takes a free port. */
  readonly port?: number
  /** The only keys that are taken; left out, any key is. Another key gets the API's own 401. */
  readonly apiKeys?: readonly string[]
}

class ApiError extends Error {
  readonly status: number
  readonly type: string
  constructor(status: number, type: string, message: string) {
    super(message)
    this.status = status
    this.type = type
  }
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'request-id': 'req_scripted',
    // The API's official clients obey this header; without it the CLI repeats even a refused key for minutes.
    ...(status >= 400 && status < 500 ? { 'x-should-retry': 'false' } : {}),
  })
  response.end(JSON.stringify(body))
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const body = await readBody(request, MAX_REQUEST_BYTES)
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    throw new ApiError(400, 'invalid_request_error', 'The request body is not valid JSON')
  }
}

async function readMessagesRequest(request: IncomingMessage) {
  const parsed = MessagesRequestSchema.safeParse(await readJson(request))
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new ApiError(400, 'invalid_request_error', `${issue?.path.join('.')}: ${issue?.message}`)
}

function requireKey(request: IncomingMessage, apiKeys: readonly string[] | undefined): void {
  const key = request.headers['x-api-key'] ?? request.headers.authorization?.replace(/^Bearer /, '')
  if (typeof key !== 'string' || key === '') throw new ApiError(401, 'authentication_error', 'x-api-key is required')
  if (apiKeys && !apiKeys.includes(key)) throw new ApiError(401, 'authentication_error', 'invalid x-api-key')
}

async function answer(request: IncomingMessage, response: ServerResponse, options: ScriptedModelOptions) {
  const { pathname } = new URL(request.url ?? '/', 'http://scripted-model')
  const call = `${request.method} ${pathname}`
  // The CLI probes the base URL before its first request.
  if (call === 'HEAD /' || call === 'GET /') return sendJson(response, 200, {})
  requireKey(request, options.apiKeys)
  if (call === 'POST /v1/messages/count_tokens')
    return sendJson(response, 200, { input_tokens: countTokens(await readMessagesRequest(request)) })
  if (call !== 'POST /v1/messages') throw new ApiError(404, 'not_found_error', `No such call: ${call}`)
  const body = await readMessagesRequest(request)
  const message = toMessage(body, nextReply(body))
  if (!body.stream) return sendJson(response, 200, message)
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  for (const event of toStream(message)) response.write(event)
  response.end()
}

function answerError(response: ServerResponse, error: unknown): void {
  if (error instanceof ClientAborted) return
  const known =
    error instanceof ApiError
      ? error
      : error instanceof BodyTooLarge
        ? new ApiError(413, 'request_too_large', error.message)
        : new ApiError(500, 'api_error', error instanceof Error ? error.message : String(error))
  sendJson(response, known.status, { type: 'error', error: { type: known.type, message: known.message } })
}

/**
 * An HTTP server that speaks enough of the Anthropic Messages API for the real `claude` CLI to carry out simple
 * instructions (`HELP` in instructions.ts) without a network. Stateless and deterministic: the same request gets the
 * same answer. Listens on 127.0.0.1; rejects when the port is taken.
 */
export async function createScriptedModel(options: ScriptedModelOptions = {}): Promise<ScriptedModel> {
  const server = createServer((request, response) => {
    answer(request, response, options).catch((error: unknown) => answerError(response, error))
  })
  const url = await listen(server, options.port ?? 0)
  return { url, close: () => closeServer(server) }
}
