/** A member's visits of a preview through the gateway, by a program: it keeps the cookie that its ticket was changed for. */
import { once } from 'node:events'
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import { WebSocket } from 'ws'

/** Milliseconds for an answer, and for the first message of a WebSocket: the gateway gives a server 60 s for its first byte. */
const ANSWER_MS = 70_000

export interface VisitAnswer {
  readonly status: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Node's own resolver may not know hosts below localhost, which browsers do: it connects to 127.0.0.1 and names the host. */
async function get(url: URL, headers: Record<string, string> = {}): Promise<VisitAnswer> {
  const outgoing = request({
    host: '127.0.0.1',
    port: url.port,
    path: url.pathname,
    // As a browser opens a page: what a page loads by itself does not wake a preview.
    headers: { host: url.host, accept: 'text/html', ...headers },
    agent: false,
    signal: AbortSignal.timeout(ANSWER_MS),
  }).end()
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  let body = ''
  for await (const chunk of response) body += chunk
  return { status: response.statusCode, headers: response.headers, body }
}

export class PreviewVisitor {
  readonly #url: URL
  readonly #cookie: string

  private constructor(url: URL, cookie: string) {
    this.#url = url
    this.#cookie = cookie
  }

  /** Comes in by the address that `POST /api/preview/create` answered. Rejects when the ticket is not taken. */
  static async enter(address: string): Promise<PreviewVisitor> {
    const { status, headers, body } = await get(new URL(address))
    const cookie = headers['set-cookie']?.[0]?.split(';')[0]
    if (cookie === undefined) throw new Error(`no cookie for the ticket (${status}): ${body.slice(0, 500)}`)
    return new PreviewVisitor(new URL('/', address), cookie)
  }

  get(path: string): Promise<VisitAnswer> {
    return get(new URL(path, this.#url), { cookie: this.#cookie })
  }

  /** The same without the cookie. */
  getAsStranger(path: string): Promise<VisitAnswer> {
    return get(new URL(path, this.#url))
  }

  /** The first message of a WebSocket of the page. Rejects with the answer's status when it is refused. */
  async firstMessage(path: string, withCookie = true): Promise<string> {
    const socket = new WebSocket(`ws://127.0.0.1:${this.#url.port}${path}`, {
      headers: {
        host: this.#url.host,
        origin: this.#url.origin,
        ...(withCookie ? { cookie: this.#cookie } : {}),
      },
    })
    try {
      const [data] = await once(socket, 'message', { signal: AbortSignal.timeout(ANSWER_MS) })
      return String(data)
    } finally {
      socket.terminate()
    }
  }
}
