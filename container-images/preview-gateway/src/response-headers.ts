/** Headers of the task's answer on their way to the browser, in place. */
import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'
import { applicationSetCookies } from './cookies.ts'

/**
 * Hop-by-hop, and what reaches further than the preview's own pages. `Report-To` and `NEL` would have the browser report every later
 * request of the host, the one with ticket and token included, to an address the application names; `Clear-Site-Data` takes the cookies
 * of the whole preview domain; `Alt-Svc` would lead past the gateway.
 */
const NOT_PASSED = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'trailer',
  'upgrade',
  'report-to',
  'nel',
  'clear-site-data',
  'alt-svc',
  'x-frame-options',
]

export type Answer = {
  /** The preview's own origin, as the browser knows it. */
  readonly origin: string
  /** Where the task is reached. */
  readonly address: string
  readonly port: number
  readonly appOrigins: readonly string[]
}

/** Edits the headers. Returns the internal address that a redirect names, when it names one: the answer must not be passed then. */
export function editResponseHeaders(headers: IncomingHttpHeaders, answer: Answer): string | undefined {
  for (const name of NOT_PASSED) if (headers[name] !== undefined) delete headers[name]
  if (headers['set-cookie']) {
    const lines = applicationSetCookies(headers['set-cookie'])
    if (lines.length > 0) headers['set-cookie'] = lines
    else delete headers['set-cookie']
  }
  const policy = framingPolicy(headers['content-security-policy'], answer.appOrigins)
  // Node joins repeated lines with a comma, which separates policies: all of them hold.
  headers['content-security-policy'] = policy
  if (headers.location === undefined) return undefined
  const location = redirectTarget(headers.location, answer)
  if ('internal' in location) return location.internal
  headers.location = location.href
  return undefined
}

/** The policies without `frame-ancestors`, and one more: the app and the preview itself may frame it. */
export function framingPolicy(header: string | string[] | undefined, appOrigins: readonly string[]): string {
  const policies = (Array.isArray(header) ? header.join(',') : (header ?? ''))
    .split(',')
    .map((policy) =>
      policy
        .split(';')
        .map((directive) => directive.trim())
        .filter((directive) => directive && directive.split(/\s/, 1)[0]?.toLowerCase() !== 'frame-ancestors')
        .join('; '),
    )
    .filter((policy) => policy)
  return [...policies, `frame-ancestors 'self' ${appOrigins.join(' ')}`].join(', ')
}

type Redirect = { readonly href: string } | { readonly internal: string }

/** The dev server's own address becomes the preview's; another host is passed unless it is one of an internal network. */
function redirectTarget(location: string, answer: Answer): Redirect {
  const inside = `http://localhost:${answer.port}`
  let url: URL
  try {
    url = new URL(location, inside)
  } catch {
    // No browser follows it either.
    return { href: location }
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return { href: location }
  // The scheme too: a server that was told the host, but believes that it was visited without TLS.
  const here = new URL(answer.origin)
  if (url.host === here.host) return { href: namesHost(location) ? `${answer.origin}${pathAndMore(url)}` : location }
  if (answer.appOrigins.includes(url.origin)) return { href: location }
  const name = url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
  const own = isLoopback(name) || name === answer.address
  // Only what names a host needs another one; a path is the preview's already.
  if (own && portOf(url) === answer.port)
    return { href: namesHost(location) ? `${answer.origin}${pathAndMore(url)}` : location }
  return isInternal(name, answer.address) ? { internal: url.host } : { href: location }
}

const pathAndMore = (url: URL): string => `${url.pathname}${url.search}${url.hash}`
const portOf = (url: URL): number => Number(url.port || (url.protocol === 'https:' ? 443 : 80))
/** As browsers read it: a scheme, or two slashes of either kind. */
const namesHost = (location: string): boolean => /^\s*([a-z][a-z0-9+.-]*:|[/\\]{2})/i.test(location)
const isLoopback = (name: string): boolean =>
  name === 'localhost' ||
  name.endsWith('.localhost') ||
  /^127\./.test(name) ||
  name === '0.0.0.0' ||
  name === '::' ||
  name === '::1'

/** Private, link-local and shared addresses (RFC 1918, 3927, 4193, 4291, 6598), and names that only an internal resolver knows. */
function isInternal(name: string, address: string): boolean {
  if (name === address || isLoopback(name)) return true
  if (isIP(name) === 4)
    return /^(0|10|127)\.|^169\.254\.|^192\.168\.|^172\.(1[6-9]|2\d|3[01])\.|^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./.test(
      name,
    )
  // WHATWG URLs write a mapped IPv4 address in hexadecimal: all of `::ffff:` counts.
  if (isIP(name) === 6) return /^(::|f[cd]|fe[89ab])/i.test(name)
  return !name.includes('.') || /\.(internal|local|lan|home\.arpa)$/.test(name)
}
