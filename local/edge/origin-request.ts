import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Behavior, Distribution, Origin } from './distribution.ts'

/** An id like CloudFront's `X-Amz-Cf-Id`. */
export function newCloudFrontId(): string {
  return `${randomBytes(41).toString('base64url')}==`
}

/** Without a policy an origin gets what its answer depends on ("Request and response behavior for Amazon S3 origins"), and no more. */
const ALWAYS_FORWARDED = new Set([
  'accept-encoding',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-unmodified-since',
  'range',
])

/**
 * Turns a viewer's request into the one that its origin gets: target, `Host`, and the headers that CloudFront adds. What a WebSocket
 * handshake needs is kept.
 */
export function rewriteForOrigin(
  request: IncomingMessage,
  distribution: Pick<Distribution, 'domainName'>,
  { behavior, origin, target }: { readonly behavior: Behavior; readonly origin: Origin; readonly target: string },
  requestId: string,
): void {
  const forwarded: [string, string][] = [['Host', origin.domainName]]
  let forwardedFor = (request.socket.remoteAddress ?? '').replace(/^::ffff:/, '')
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i] ?? ''
    const value = request.rawHeaders[i + 1] ?? ''
    const lowerCase = name.toLowerCase()
    if (lowerCase === 'x-forwarded-for') forwardedFor = `${value}, ${forwardedFor}`
    else if (lowerCase !== 'host' && (behavior.forwardsViewer || ALWAYS_FORWARDED.has(lowerCase)))
      forwarded.push([name, value])
  }
  forwarded.push(
    ['X-Forwarded-For', forwardedFor],
    ['Via', `1.1 ${distribution.domainName} (CloudFront)`],
    ['X-Amz-Cf-Id', requestId],
  )
  request.url = target
  request.rawHeaders = forwarded.flat()
  // Node has read the headers by now and would go on giving the viewer's.
  request.headers = joined(forwarded)
}

function joined(headers: readonly [string, string][]): Record<string, string> {
  const result: Record<string, string> = Object.create(null)
  for (const [name, value] of headers) {
    const key = name.toLowerCase()
    const known = result[key]
    result[key] = known === undefined ? value : `${known}${key === 'cookie' ? '; ' : ', '}${value}`
  }
  return result
}
