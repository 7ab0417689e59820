/** What a request asks for, read strictly from its raw head: which preview, and whether the path is the gateway's own. */
import type { IncomingMessage } from 'node:http'
import {
  PREVIEW_ENTER_PREFIX,
  PREVIEW_OWN_SEGMENT,
  PREVIEW_SIGNED_MAX_CHARS,
  PreviewLabelSchema,
} from '../../../shared/contracts/previews.ts'

export type Refusal = { readonly status: number; readonly title: string; readonly text: string }
export type Target = {
  readonly label: string
  /** As the browser named it, with the port if it named one. */
  readonly host: string
}

const refuse = (status: number, title: string, text: string): Refusal => ({ status, title, text })
export const isRefusal = (value: Target | Refusal): value is Refusal => 'status' in value

/**
 * The preview a request is for. Refused: a target in another form than `/path` (400), no `Host` or more than one (400), a host outside
 * the preview domain or written in another way than browsers do (421), and a label that no preview can have (404).
 */
export function readTarget(request: Pick<IncomingMessage, 'rawHeaders' | 'url'>, domain: string): Target | Refusal {
  if (!request.url?.startsWith('/')) return refuse(400, 'Bad request', 'The request target has to be a path.')
  const hosts: string[] = []
  for (let at = 0; at < request.rawHeaders.length; at += 2)
    if (request.rawHeaders[at]?.toLowerCase() === 'host') hosts.push(request.rawHeaders[at + 1] ?? '')
  const [host] = hosts
  if (host === undefined || hosts.length > 1) return refuse(400, 'Bad request', 'The request has to name one host.')
  const [, name, port] = /^([a-z0-9.-]{1,253})(?::([1-9]\d{0,4}))?$/.exec(host) ?? []
  const label = name?.endsWith(`.${domain}`) ? name.slice(0, -domain.length - 1) : ''
  if (!label || label.includes('.') || Number(port ?? 0) > 65_535)
    return refuse(421, 'No preview here', 'This host does not belong to a preview.')
  if (!PreviewLabelSchema.safeParse(label).success) return NO_PREVIEW
  return { label, host }
}

export const NO_PREVIEW = refuse(
  404,
  'No such preview',
  'There is no preview at this address, or it is not there any more.',
)

/** Times a path is decoded in search of the gateway's own segment: encodings may be nested, and each layer may be somebody's. */
const MAX_DECODES = 4

/**
 * Whether a path belongs to the gateway in any reading a server may have of it: encoded (also more than once), in other letter
 * case, with doubled or reversed slashes, dot segments, or path parameters. None of them reaches a task.
 */
export function isOwnPath(url: string): boolean {
  let path = pathOf(url)
  for (let round = 0; round < MAX_DECODES; round += 1) {
    if (mentionsOwnSegment(path)) return true
    const decoded = decodeOnce(path)
    if (decoded === path) return false
    path = decoded
  }
  // Still encoded after so many rounds: nobody writes that by accident.
  return true
}

/** Any segment counts, not only the first: `/x/../__covibes/…` is the first to a server that resolves it. */
const mentionsOwnSegment = (path: string): boolean =>
  path
    .toLowerCase()
    .split(/[/\\]/)
    .some((segment) => segment.split(/[;?#\0]/)[0]?.trim() === PREVIEW_OWN_SEGMENT)

const decodeOnce = (text: string): string =>
  text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

const pathOf = (url: string): string => {
  const query = url.indexOf('?')
  return query === -1 ? url : url.slice(0, query)
}

/** The ticket in a path in its exact spelling, and where to go with it: a path on the same host, never another host's. */
export function readEntrance(url: string): { readonly ticket: string; readonly onward: string } | undefined {
  if (!url.startsWith(PREVIEW_ENTER_PREFIX)) return undefined
  const rest = url.slice(PREVIEW_ENTER_PREFIX.length)
  const end = rest.search(/[/?]/)
  const ticket = end === -1 ? rest : rest.slice(0, end)
  if (!ticket || ticket.length > PREVIEW_SIGNED_MAX_CHARS) return undefined
  const onward = end === -1 ? '/' : withoutToken(`/${rest.slice(end).replace(/^[/\\]+/, '')}`, () => true)
  return { ticket, onward: isOwnPath(onward) ? '/' : onward }
}

/**
 * The address without the `token` parameters whose value `isTheirs`; everything else stays byte for byte, and so does an address that
 * has none. Names are compared decoded.
 */
export function withoutToken(url: string, isTheirs: (value: string) => boolean): string {
  const query = url.indexOf('?')
  if (query === -1) return url
  const kept: string[] = []
  let removed = false
  for (const pair of url.slice(query + 1).split('&')) {
    const equals = pair.indexOf('=')
    const name = equals === -1 ? pair : pair.slice(0, equals)
    const value = equals === -1 ? '' : decodeOnce(pair.slice(equals + 1))
    if (decodeOnce(name) === 'token' && isTheirs(value)) removed = true
    else kept.push(pair)
  }
  if (!removed) return url
  return kept.length === 0 ? url.slice(0, query) : `${url.slice(0, query)}?${kept.join('&')}`
}

/** A signed token as the app's is (RFC 7519): three parts, the first of which is a JSON object with an `alg`. */
export function looksLikeAppToken(value: string): boolean {
  const [header, payload, signature, ...more] = value.trim().split('.')
  if (!header || !payload || signature === undefined || more.length > 0) return false
  return /"alg"\s*:/.test(Buffer.from(header, 'base64url').toString())
}
