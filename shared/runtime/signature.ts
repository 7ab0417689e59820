/**
 * The internal API's signature: HMAC-SHA256 under a secret that the existing server and operators share with the control plane.
 *
 * `x-covibes-timestamp` is the time in seconds since the epoch; `x-covibes-signature` is the hex HMAC of
 * `<timestamp>\n<METHOD>\n<path>\n<hex SHA-256 of the body>`, the path as it stands in the request line, without a query.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { SIGNATURE_VALID_MS } from '../contracts/limits.ts'
import type { Clock } from '../domain/clock.ts'
import { Unauthorized } from '../domain/errors.ts'

export const SIGNATURE_HEADERS = { timestamp: 'x-covibes-timestamp', signature: 'x-covibes-signature' } as const

export interface SignedRequest {
  readonly method: string
  readonly path: string
  /** Empty for requests without one. */
  readonly body: Buffer
}

const mac = (secret: string, timestamp: string, { method, path, body }: SignedRequest): Buffer => {
  const digest = createHash('sha256').update(body).digest('hex')
  return createHmac('sha256', secret).update(`${timestamp}\n${method}\n${path}\n${digest}`).digest()
}

/** The headers that sign a request at `now`. */
export function sign(request: SignedRequest, secret: string, now: Date): Record<string, string> {
  const timestamp = String(Math.floor(now.getTime() / 1000))
  return {
    [SIGNATURE_HEADERS.timestamp]: timestamp,
    [SIGNATURE_HEADERS.signature]: mac(secret, timestamp, request).toString('hex'),
  }
}

/**
 * Refuses a request that is not signed, is signed with another secret or for another request, or was signed more than
 * `SIGNATURE_VALID_MS` before or after now.
 *
 * @throws Unauthorized with words on what is wrong, which tell nothing of the right signature.
 */
export function verifySignature(
  request: SignedRequest,
  headers: Readonly<Record<string, string | undefined>>,
  secret: string,
  clock: Clock,
): void {
  const timestamp = headers[SIGNATURE_HEADERS.timestamp] ?? ''
  const signature = headers[SIGNATURE_HEADERS.signature] ?? ''
  if (!/^\d{1,12}$/.test(timestamp) || !/^[0-9a-f]{64}$/.test(signature)) {
    throw new Unauthorized(
      `This is signed by ${SIGNATURE_HEADERS.timestamp} (seconds) and ${SIGNATURE_HEADERS.signature} (64 hex digits)`,
    )
  }
  // The signature first: who cannot sign learns nothing of our clock.
  if (!timingSafeEqual(mac(secret, timestamp, request), Buffer.from(signature, 'hex'))) {
    throw new Unauthorized('The signature is not that of this request')
  }
  if (Math.abs(clock.now().getTime() - Number(timestamp) * 1000) > SIGNATURE_VALID_MS) {
    throw new Unauthorized(`The signature is more than ${SIGNATURE_VALID_MS / 60_000} minutes off; check the clock`)
  }
}
