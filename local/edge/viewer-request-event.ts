import type { IncomingMessage } from 'node:http'

type Values = Readonly<Record<string, { readonly value: string; readonly multiValue?: readonly { value: string }[] }>>

/** What a viewer-request function gets ("CloudFront Functions event structure"). */
export interface ViewerRequestEvent {
  readonly version: '1.0'
  readonly context: {
    readonly distributionDomainName: string
    readonly distributionId: string
    readonly eventType: 'viewer-request'
    readonly requestId: string
  }
  readonly viewer: { readonly ip: string }
  readonly request: {
    readonly method: string
    /** As sent, without the query. */
    readonly uri: string
    /** Neither names nor values are decoded. */
    readonly querystring: Values
    readonly headers: Values
    readonly cookies: Values
  }
}

/** Headers that functions do not see ("Restrictions on all edge functions"); `Upgrade` is one of them. */
const HIDDEN =
  /^(connection|expect|keep-alive|proxy-(authenticate|authorization|connection)|trailer|upgrade|x-accel-(buffering|charset|limit-rate|redirect)|x-amz-cf-.*|x-amzn-(auth|cf-billing|cf-id|cf-xff|errortype|fle-profile|header-count|header-order|lambda-integration-tag|requestid)|x-cache|x-edge-.*|x-forwarded-proto|x-real-ip)$/

/** The part of a URL before the question mark, and what follows it as it was sent; undefined without a question mark. */
export function splitTarget(target: string): { path: string; query: string | undefined } {
  const mark = target.indexOf('?')
  return mark < 0 ? { path: target, query: undefined } : { path: target.slice(0, mark), query: target.slice(mark + 1) }
}

/** What is read of a request. */
export interface ViewerRequest extends Pick<IncomingMessage, 'url' | 'method' | 'rawHeaders'> {
  readonly socket: { readonly remoteAddress?: string | undefined }
}

/** The event of a request. `distribution` and `requestId` are its context. */
export function viewerRequestEvent(
  request: ViewerRequest,
  distribution: { readonly id: string; readonly domainName: string },
  requestId: string,
): ViewerRequestEvent {
  const { path, query } = splitTarget(request.url ?? '/')
  const headers: [string, string][] = []
  const cookies: [string, string][] = []
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    const name = (request.rawHeaders[i] ?? '').toLowerCase()
    const value = request.rawHeaders[i + 1] ?? ''
    if (name === 'cookie') cookies.push(...pairs(value, /;\s*/))
    else if (!HIDDEN.test(name)) headers.push([name, value])
  }
  return {
    version: '1.0',
    context: {
      distributionDomainName: distribution.domainName,
      distributionId: distribution.id,
      eventType: 'viewer-request',
      requestId,
    },
    viewer: { ip: (request.socket.remoteAddress ?? '').replace(/^::ffff:/, '') },
    request: {
      method: request.method ?? 'GET',
      uri: path,
      querystring: values(pairs(query ?? '', '&')),
      headers: values(headers),
      cookies: values(cookies),
    },
  }
}

function pairs(text: string, separator: string | RegExp): [string, string][] {
  return text
    .split(separator)
    .filter((part) => part !== '')
    .map((part) => {
      const equals = part.indexOf('=')
      return equals < 0 ? [part, ''] : [part.slice(0, equals), part.slice(equals + 1)]
    })
}

/** A name that occurs once has a `value`; one that occurs more often has all of them in `multiValue`, too. */
function values(entries: readonly [string, string][]): Values {
  // Without a prototype, so that a parameter may be called anything.
  const result: Record<string, { value: string; multiValue?: { value: string }[] }> = Object.create(null)
  for (const [name, value] of entries) {
    const known = result[name]
    if (known === undefined) result[name] = { value }
    else known.multiValue = [...(known.multiValue ?? [{ value: known.value }]), { value }]
  }
  return result
}
