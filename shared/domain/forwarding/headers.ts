/** Headers of a forwarded request and of its answer: what passes a gateway and what ends at it. */
import type { ForwardRequest } from './ports.ts'

/** RFC 9110 §7.6.1 and RFC 2616 §13.5.1: of one connection only. `keep-alive` and the proxy headers are named there. */
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]
/** Worked out anew for the request that goes on; a client's word on them could only split one request into two. */
const REQUEST_OWN = ['content-length', 'expect', 'host', 'http2-settings', 'x-forwarded-host', 'x-forwarded-proto']
const ANSWER_OWN = ['content-length', 'set-cookie']

/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/i
/** What Node writes into a header: no line break, no other control character, nothing beyond Latin-1. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
const isWritable = (name: string, value: string) => TOKEN.test(name) && VALUE.test(value)

/** Those always dropped, and those that the Connection header declares to be of this hop. */
function dropped(own: readonly string[], connection: string | undefined): ReadonlySet<string> {
  const named = (connection ?? '').split(',').map((name) => name.trim().toLowerCase())
  return new Set([...HOP_BY_HOP, ...own, ...named])
}

/**
 * The headers of the request to the existing server, in lower case. `x-forwarded-for` comes from the gateway, which appends
 * the address it saw; protocol and host are the gateway's own word, never the client's.
 */
export function requestHeaders({ method, headers, cookies, body, host }: ForwardRequest): Record<string, string> {
  const drop = dropped(REQUEST_OWN, headers.connection)
  const passed: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase()
    if (!drop.has(lower) && isWritable(lower, value)) passed[lower] = value
  }
  const cookie = cookies.join('; ')
  if (cookie !== '' && isWritable('cookie', cookie)) passed.cookie = cookie
  if (isWritable('x-forwarded-host', host)) passed['x-forwarded-host'] = host
  // The last one is the gateway's: anything before it was sent along by the client.
  passed['x-forwarded-proto'] = headers['x-forwarded-proto']?.split(',').at(-1)?.trim() === 'http' ? 'http' : 'https'
  if (body.length > 0 || method === 'POST' || method === 'PUT' || method === 'PATCH')
    passed['content-length'] = String(body.length)
  return passed
}

/** Reads the alternating names and values of an answer: its headers, and its Set-Cookie values each by itself. */
export function answerHeaders(raw: readonly string[]): { headers: Record<string, string>; cookies: string[] } {
  const pairs: [name: string, value: string][] = []
  for (let i = 0; i + 1 < raw.length; i += 2) pairs.push([(raw[i] ?? '').toLowerCase(), raw[i + 1] ?? ''])
  const connection = pairs.flatMap(([name, value]) => (name === 'connection' ? [value] : [])).join(',')
  const drop = dropped(ANSWER_OWN, connection)
  const headers: Record<string, string> = {}
  for (const [name, value] of pairs)
    if (!drop.has(name)) headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`
  return { headers, cookies: pairs.flatMap(([name, value]) => (name === 'set-cookie' ? [value] : [])) }
}
