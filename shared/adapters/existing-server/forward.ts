/** Requests passed to the existing server as they are. Node's own client, because fetch rewrites paths and hides headers. */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { FORWARD_TIMEOUT_MS, LAMBDA_MAX_RESPONSE_BYTES } from '../../contracts/limits.ts'
import { ForwardingFailed } from '../../domain/forwarding/errors.ts'
import { answerHeaders, requestHeaders } from '../../domain/forwarding/headers.ts'
import type { Forward, ForwardedAnswer, ForwardRequest } from '../../domain/forwarding/ports.ts'
import { requestTarget } from '../../domain/forwarding/target.ts'

/**
 * @param baseUrl LEGACY_API_URL; undefined: every request fails as `not-configured`. Its origin is the only place that
 * anything is sent to.
 * @param timeoutMs From the first byte sent to the last received.
 */
export function createForward(baseUrl: string | undefined, timeoutMs = FORWARD_TIMEOUT_MS): Forward {
  if (baseUrl === undefined) {
    return async () => {
      throw new ForwardingFailed('not-configured')
    }
  }
  const base = new URL(baseUrl)
  return (request, { signal } = {}) => send(base, request, AbortSignal.timeout(timeoutMs), signal)
}

async function send(
  base: URL,
  request: ForwardRequest,
  timeout: AbortSignal,
  givenUp: AbortSignal | undefined,
): Promise<ForwardedAnswer> {
  try {
    const message = await begin(base, request, givenUp ? AbortSignal.any([timeout, givenUp]) : timeout)
    const body = await bodyOf(message)
    return { status: message.statusCode ?? 502, ...answerHeaders(message.rawHeaders), body }
  } catch (error) {
    if (error instanceof ForwardingFailed) throw error
    if (timeout.aborted) throw new ForwardingFailed('timeout', { cause: error })
    throw new ForwardingFailed(givenUp?.aborted ? 'aborted' : 'unreachable', { cause: error })
  }
}

/** Resolves with the head of the answer. */
function begin(base: URL, request: ForwardRequest, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const start = base.protocol === 'https:' ? httpsRequest : httpRequest
    const outgoing: ClientRequest = start({
      // An IPv6 address stands in brackets in a URL only.
      hostname: base.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: base.port,
      method: request.method,
      // As text, never by way of a URL, which would resolve dots.
      path: requestTarget(base.pathname.replace(/\/+$/, ''), request.path, request.rawQuery),
      headers: { ...requestHeaders(request), host: base.host },
      // A connection of its own: one kept through a freeze of the function may be dead, and a POST cannot be sent twice.
      agent: false,
      signal,
    })
    outgoing.on('response', resolve)
    // Nobody has asked for it; without a listener the answer would never come.
    outgoing.on('upgrade', (_message, socket) => {
      socket.destroy()
      reject(new Error('The server changed the protocol'))
    })
    outgoing.on('error', reject)
    outgoing.end(request.body)
  })
}

/** Anything longer than a function may answer is cut off at once. */
async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > LAMBDA_MAX_RESPONSE_BYTES) {
      message.destroy()
      throw new ForwardingFailed('too-large')
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
