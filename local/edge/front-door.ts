import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { CloudAssembly } from '../assembly/cloud-assembly.ts'
import type { HttpApi } from '../http-api/http-api.ts'
import type { WebSocketApi } from '../websocket-api/websocket-api.ts'
import { type Behavior, type Distribution, distributionOf, type Origin } from './distribution.ts'
import { EdgeFunctionFailed } from './edge-function.ts'
import { newCloudFrontId, rewriteForOrigin } from './origin-request.ts'
import { normalizedPath } from './path-pattern.ts'
import { splitTarget, viewerRequestEvent } from './viewer-request-event.ts'

/** "Maximum length of a request and maximum length of a URL" in CloudFront's guide. */
const MAX_URL_BYTES = 8192

/** What `createFrontDoor` takes. */
export interface FrontDoorOptions {
  readonly assembly: CloudAssembly
  readonly http: Pick<HttpApi, 'handle'>
  readonly webSockets: Pick<WebSocketApi, 'handleUpgrade'>
  /** Answers for the bucket: GET and HEAD, the path is the object's key. Without it the bucket is empty. */
  readonly frontend?: ((request: IncomingMessage, response: ServerResponse) => void) | undefined
  /** Told why a request was answered with 503; default prints it. */
  readonly onFailure?: ((request: string, reason: string) => void) | undefined
}

/** The browser's one origin, to be mounted on a server. */
export interface FrontDoor {
  /** Handles a request completely. Never throws. */
  handle(request: IncomingMessage, response: ServerResponse): void
  /** Hands an upgrade to the WebSocket API when its origin is that, and refuses it otherwise. Never throws. */
  handleUpgrade(request: IncomingMessage, socket: Socket, head: Buffer): void
}

interface Refusal {
  readonly status: number
  readonly reason: string
}
interface Routed {
  readonly behavior: Behavior
  readonly origin: Origin
  /** What the origin is asked for: path and query. */
  readonly target: string
}

/**
 * The assembly's CloudFront distribution in front of the APIs and the bucket: its behaviours decide, and its functions' own code.
 * Without TLS and without a cache. Throws when the distribution has what is not imitated.
 */
export function createFrontDoor(options: FrontDoorOptions): FrontDoor {
  return new LocalFrontDoor(distributionOf(options.assembly), options)
}

class LocalFrontDoor implements FrontDoor {
  readonly #distribution: Distribution
  readonly #options: FrontDoorOptions

  constructor(distribution: Distribution, options: FrontDoorOptions) {
    this.#distribution = distribution
    this.#options = options
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    const requestId = newCloudFrontId()
    const routed = this.#route(request, requestId)
    response.setHeader('via', `1.1 ${this.#distribution.domainName} (CloudFront)`)
    response.setHeader('x-amz-cf-id', requestId)
    if ('status' in routed) {
      response.setHeader('x-cache', 'Error from cloudfront')
      answer(request, response, routed.status, routed.reason)
      return
    }
    response.setHeader('x-cache', 'Miss from cloudfront')
    for (const [name, value] of Object.entries(routed.behavior.responseHeaders)) response.setHeader(name, value)
    rewriteForOrigin(request, this.#distribution, routed, requestId)
    switch (routed.origin.kind) {
      case 'http-api':
        this.#options.http.handle(request, response)
        break
      case 'web-socket-api':
        answer(request, response, 403, JSON.stringify({ message: 'Forbidden' }), 'application/json')
        break
      case 'bucket': {
        const { frontend = noSuchKey } = this.#options
        frontend(request, response)
      }
    }
  }

  handleUpgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const requestId = newCloudFrontId()
    const routed = this.#route(request, requestId)
    if ('status' in routed) refuse(socket, routed)
    else if (routed.origin.kind !== 'web-socket-api')
      refuse(socket, { status: 400, reason: `${routed.origin.id} does not speak WebSocket` })
    else {
      rewriteForOrigin(request, this.#distribution, routed, requestId)
      this.#options.webSockets.handleUpgrade(request, socket, head)
    }
  }

  #route(request: IncomingMessage, requestId: string): Routed | Refusal {
    const url = request.url ?? '/'
    if (Buffer.byteLength(url) > MAX_URL_BYTES) return { status: 413, reason: 'The URL is too long' }
    if (!url.startsWith('/')) return { status: 400, reason: 'The request target is not a path' }
    if (request.method === 'GET' && hasBody(request)) return { status: 403, reason: 'A GET request has no body' }
    const { path, query } = splitTarget(url)
    const normalized = normalizedPath(path)
    const behavior = this.#distribution.behaviors.find(({ matches }) => matches(normalized))
    if (!behavior) throw new Error(`No behaviour takes ${normalized}, not even the default one`)
    if (!behavior.methods.has(request.method ?? ''))
      return { status: 403, reason: 'This distribution is not configured to allow the HTTP request method' }
    const { defaultRootObject } = this.#distribution
    let uri = path === '/' && defaultRootObject !== undefined ? `/${defaultRootObject}` : path
    let { origin } = behavior
    if (behavior.viewerRequest) {
      try {
        const routing = behavior.viewerRequest.run(viewerRequestEvent(request, this.#distribution, requestId))
        uri = routing.uri
        origin = this.#distribution.origins.get(routing.originId ?? origin.id) ?? origin
      } catch (error) {
        if (!(error instanceof EdgeFunctionFailed)) throw error
        this.#report(`${request.method} ${path}`, error.message)
        return { status: 503, reason: 'The CloudFront function is invalid or could not run' }
      }
    }
    const search = behavior.forwardsViewer && query !== undefined ? `?${query}` : ''
    return { behavior, origin, target: `${origin.path}${uri}${search}` }
  }

  #report(request: string, reason: string): void {
    const onFailure = this.#options.onFailure ?? ((what, why) => console.error(`Edge 503 ${what}: ${why}`))
    onFailure(request, reason)
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  body: string,
  contentType = 'text/plain; charset=utf-8',
): void {
  // The rest of a body must be read, or the connection cannot be used again.
  request.resume()
  if (status === 413) response.setHeader('connection', 'close')
  response.writeHead(status, { 'content-type': contentType, 'content-length': Buffer.byteLength(body) })
  response.end(request.method === 'HEAD' ? undefined : body)
}

/** What S3 answers for a key that it does not have, to one who may list the bucket. */
function noSuchKey(request: IncomingMessage, response: ServerResponse): void {
  const body =
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>'
  answer(request, response, 404, body, 'application/xml')
}

function refuse(socket: Socket, { status, reason }: Refusal): void {
  // The client may be gone already, and what cannot be told to it interests nobody.
  socket.on('error', () => socket.destroy())
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\ncontent-type: text/plain; charset=utf-8`
  socket.end(`${head}\r\ncontent-length: ${Buffer.byteLength(reason)}\r\nconnection: close\r\n\r\n${reason}`)
}
