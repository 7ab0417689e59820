/**
 * The one check of repository URLs. What passes names a public host over https or ssh and nothing else: no command, no option, no
 * local file, no credential. Host names are checked again when they are used, by the addresses they resolve to.
 */
import * as z from 'zod'
import { addressKind, isAddress } from './network-address.ts'

/** UTF-16 units. */
const MAX_URL = 2048

export type RepositoryUrlOptions = {
  /** Addresses of this machine are allowed too, over http and at every port: the one-machine runtime. */
  readonly allowLoopback: boolean
}

/** A repository as git gets it. */
export type RepositoryUrl = {
  /** In the form that was checked: what a parser of another opinion might read differently is not in it. */
  readonly url: string
  /** For a person: host and path. */
  readonly shown: string
  readonly transport: 'https' | 'http' | 'ssh'
  /** Who ssh logs in as; empty for the others. */
  readonly user: string
  /** Lower case; an IPv6 address without brackets. */
  readonly host: string
  readonly port: number
}

/** The URL is not taken; the message says what is wrong with it and holds nothing of a credential. */
export class RepositoryUrlError extends Error {
  override readonly name = 'RepositoryUrlError'
}

const DEFAULT_PORTS = { https: 443, http: 80, ssh: 22 } as const

/** Names that mean this machine or its surroundings (RFC 6761, 6762, 8375 and usage), with all below them. */
const LOCAL_NAMES = [
  'localhost',
  'local',
  'localdomain',
  'internal',
  'intranet',
  'lan',
  'home',
  'corp',
  'private',
  'arpa',
  'onion',
]

/** Letters of a URL (RFC 3986) without the backslash, quotes, spaces and everything that is not ASCII. */
const URL_TEXT = /^[\w\-.~:/?#[\]@!$&'()*+,;=%]+$/
/** One label: no dash at either end, so no host is ever an option. */
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/
const SSH_USER = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/
/** `%00` to `%1f` and `%7f`: git decodes the path of an ssh URL. */
const ENCODED_CONTROL = /%(?:[01][0-9a-f]|7f)/i

/** Checks a repository's URL, scp-like ones (`git@host:path`) included. Throws `RepositoryUrlError`. */
export function checkRepositoryUrl(text: string, options: RepositoryUrlOptions): RepositoryUrl {
  const fail = (problem: string): never => {
    throw new RepositoryUrlError(problem)
  }
  if (text.length === 0) fail('The repository URL is empty')
  if (text.length > MAX_URL) fail(`The repository URL is longer than ${MAX_URL} characters`)
  if (text.startsWith('-')) fail('The repository URL begins with a dash, like an option')
  if (!URL_TEXT.test(text))
    fail('The repository URL has spaces, control characters or others that must be percent-encoded in URLs')
  if (ENCODED_CONTROL.test(text)) fail('The repository URL has encoded control characters')
  const parts = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? urlParts(text, fail) : scpParts(text, fail)
  const loopback = checkHost(parts.host, options.allowLoopback, fail)
  if (parts.transport === 'http' && !loopback) fail('Repositories are reached over https or ssh, not over http')
  const { transport, port } = parts
  const usual = port === DEFAULT_PORTS[transport] || port === 443 || port >= 1024
  if (!usual && !loopback) fail(`Port ${port} is none that repositories are served at`)
  return parts
}

type Fail = (problem: string) => never

function urlParts(text: string, fail: Fail): RepositoryUrl {
  const [, scheme = '', rest = ''] = /^([^:]+):\/\/(.*)$/.exec(text) ?? []
  const transport = scheme.toLowerCase()
  if (transport !== 'https' && transport !== 'http' && transport !== 'ssh')
    return fail(`Repositories are reached over https or ssh, not over ${transport}`)
  if (/[?#]/.test(rest)) fail('The repository URL must not have a query or a fragment')
  const [, authority = '', path = ''] = /^([^/]*)(.*)$/.exec(rest) ?? []
  const at = authority.lastIndexOf('@')
  const userinfo = at < 0 ? '' : authority.slice(0, at)
  if (transport !== 'ssh' && at >= 0)
    fail('The repository URL must not have a user name, password or token in it: they are stored as a git credential')
  if (userinfo.includes(':'))
    fail('The repository URL must not have a password in it: keys are stored as a git credential')
  const user = transport === 'ssh' ? userinfo || 'git' : ''
  if (transport === 'ssh' && !SSH_USER.test(user)) fail('The user name in the repository URL is not a plain name')
  // Parsers of URLs would take the path's first part for the host.
  if (at === authority.length - 1) fail('The repository URL names no host')
  // ssh URLs are parsed as if they were https: only so are all notations of an IPv4 address understood.
  const parsed = parse(`https://${authority.slice(at + 1)}${path}`, fail)
  const explicit = /:(\d*)$/.exec(authority.slice(at + 1))?.[1]
  const port = explicit ? Number(explicit) : DEFAULT_PORTS[transport]
  if (port === 0) fail('Port 0 is none that repositories are served at')
  if (parsed.pathname === '/') fail('The repository URL has no path: it names a host, not a repository')
  const host = plainHost(parsed.hostname)
  const named = `${inUrl(host)}${port === DEFAULT_PORTS[transport] ? '' : `:${port}`}${parsed.pathname}`
  return {
    url: `${transport}://${user && `${user}@`}${named}`,
    shown: named,
    transport,
    user,
    host,
    port,
  }
}

/** git's other spelling of ssh, `user@host:path`, where the path is relative to the user's home. */
function scpParts(text: string, fail: Fail): RepositoryUrl {
  const [, user, name = '', path = ''] = /^(?:([^@:/]*)@)?(\[[^\]/]*\]|[^@:/[\]]+):(.*)$/.exec(text) ?? []
  if (name === '') return fail('The repository URL is no URL: write https://host/path or git@host:path')
  if (path.startsWith(':')) return fail('Repositories are reached over https or ssh, not by a helper of git')
  if (user === undefined) return fail(`The repository URL names no user: write git@${name}:path or https://host/path`)
  if (!SSH_USER.test(user)) return fail('The user name in the repository URL is not a plain name')
  if (path === '' || path === '/') return fail('The repository URL has no path: it names a host, not a repository')
  if (path.startsWith('-')) return fail('The path in the repository URL begins with a dash, like an option')
  const host = plainHost(parse(`https://${name}/`, fail).hostname)
  const url = `${user}@${inUrl(host)}:${path}`
  return { url, shown: `${inUrl(host)}:${path}`, transport: 'ssh', user, host, port: DEFAULT_PORTS.ssh }
}

function parse(text: string, fail: Fail): URL {
  const url = URL.parse(text)
  return url ?? fail('The repository URL has a host or a port that cannot be')
}

/** Without the brackets of an IPv6 address and the dot that ends a name. */
const plainHost = (host: string): string => host.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '')
const inUrl = (host: string): string => (host.includes(':') ? `[${host}]` : host)

/** True when the host is this machine, which is allowed then. */
function checkHost(host: string, allowLoopback: boolean, fail: Fail): boolean {
  if (isAddress(host)) {
    const kind = addressKind(host)
    if (kind === 'public') return false
    if (kind === 'loopback' && allowLoopback) return true
    return fail(`${host} is an address of this network or for a special purpose, not a public one`)
  }
  if (!HOST_NAME.test(host)) fail('The repository URL has a host name that cannot be')
  const last = host.split('.').at(-1) ?? ''
  if (last === 'localhost' && allowLoopback) return true
  if (LOCAL_NAMES.includes(last)) fail(`${host} is a name of this machine or network, not a public one`)
  if (last === host) fail(`${host} is not a public host name: it has no dot`)
  return false
}

/** A schema that takes a repository's URL and gives it in its checked form; its issues say what is wrong. */
export const repositoryUrlSchema = (options: RepositoryUrlOptions) =>
  z.string().transform((text, context) => {
    try {
      return checkRepositoryUrl(text, options).url
    } catch (error) {
      if (!(error instanceof RepositoryUrlError)) throw error
      context.addIssue({ code: 'custom', message: error.message })
      return z.NEVER
    }
  })
