/** Headers of a request on their way to the task, in place. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { withoutOwnCookie } from './cookies.ts'
import { isOwnPath, withoutToken } from './target.ts'

/** Meant for one connection only (RFC 9110 §7.6.1), or for this gateway. */
const NOT_FORWARDED: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'te',
  'trailer',
  'upgrade',
  'http2-settings',
  // The gateway has told the browser to go on with the body already.
  'expect',
  // What a visitor says of proxies before this one is not to be believed.
  'forwarded',
  'via',
  'x-real-ip',
  'x-client-ip',
  'true-client-ip',
  'cf-connecting-ip',
])

export type Passage = {
  /** As the browser named it, with its port. */
  readonly host: string
  readonly scheme: 'http' | 'https'
  /** The dev server's port: it is told that it is visited as `localhost`. */
  readonly port: number
  readonly behindLoadBalancer: boolean
}

/**
 * Sets `request.headers` to what the task is to see. The dev server sees itself visited at `localhost:<port>`, which all of them accept without
 * configuration; `Origin` and `Referer` agree with that when they name the preview's own host, and stay as they are when they name
 * another, so that the dev server's protection against other sites' pages works. No `X-Forwarded-Host`: frameworks that compare `Origin`
 * with the host take it for the host (Next.js server actions). The real one stands in `Forwarded` (RFC 7239), which none reads unasked.
 */
export function editRequestHeaders(request: IncomingMessage, passage: Passage, upgrade: boolean): void {
  const client = clientAddress(request, passage.behindLoadBalancer)
  const headers = forwarded(request.headers)

  const outside = `${passage.scheme}://${passage.host}`
  const inside = `http://localhost:${passage.port}`
  if (headers.origin === outside) headers.origin = inside
  if (headers.referer !== undefined) headers.referer = cleanReferer(headers.referer, outside, inside)
  headers.host = `localhost:${passage.port}`
  headers.forwarded = `for="${client.includes(':') ? `[${client}]` : client}";host="${passage.host}";proto=${passage.scheme}`
  headers['x-forwarded-for'] = client
  headers['x-forwarded-proto'] = passage.scheme
  if (upgrade) {
    headers.connection = 'Upgrade'
    headers.upgrade = 'websocket'
  }
  request.headers = headers
}

/**
 * The headers that go on, in an object of their own: one from which much is deleted is slow to read ever after. Also without what
 * `Connection` names: it must not make the task's server lose a header that the gateway has set.
 */
function forwarded(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const named = namedByConnection(headers.connection)
  const kept: IncomingHttpHeaders = {}
  for (const name of Object.keys(headers)) {
    if (NOT_FORWARDED.has(name) || name.startsWith('x-forwarded-') || named?.has(name)) continue
    const value = name === 'cookie' ? withoutOwnCookie(headers.cookie ?? '') : headers[name]
    if (value !== undefined) kept[name] = value
  }
  return kept
}

function namedByConnection(connection: string | undefined): ReadonlySet<string> | undefined {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return undefined
  const named = new Set(connection.split(',').map((name) => name.trim().toLowerCase()))
  // The length and form of the body are the parser's business, not the visitor's.
  named.delete('content-length')
  named.delete('transfer-encoding')
  return named
}

function clientAddress(request: IncomingMessage, behindLoadBalancer: boolean): string {
  const forwarded = request.headers['x-forwarded-for']
  const last = behindLoadBalancer && typeof forwarded === 'string' ? forwarded.split(',').at(-1)?.trim() : undefined
  const address = last && isIP(last) ? last : request.socket.remoteAddress
  return address?.replace(/^::ffff:(?=\d+\.)/, '') ?? 'unknown'
}

/** No ticket and no token in it; the preview's own address as the dev server knows it. */
function cleanReferer(referer: string, outside: string, inside: string): string {
  const own = referer === outside || referer.startsWith(`${outside}/`)
  const origin = own ? outside : (/^[a-z][a-z0-9+.-]*:\/\/[^/?#\\]*/i.exec(referer)?.[0] ?? '')
  const rest = referer.slice(origin.length)
  const clean = isOwnPath(rest) ? '/' : withoutToken(rest, () => true)
  return `${own ? inside : origin}${clean}`
}
