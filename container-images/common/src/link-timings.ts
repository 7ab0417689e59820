/** Waits of a link in milliseconds. */
export type LinkTimings = {
  /** From connecting to the welcome; API Gateway itself cuts an integration at 29 s. */
  readonly welcomeMs: number
  /** First and longest wait between two tries to connect. */
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
  /** A link that lasted this long ends a series of failures. */
  readonly stableLinkMs: number
  /** For the closing handshake. */
  readonly closeMs: number
}

export const LINK_TIMINGS: LinkTimings = {
  welcomeMs: 10_000,
  backoffMinMs: 250,
  backoffMaxMs: 15_000,
  stableLinkMs: 10_000,
  closeMs: 2_000,
}

/** Milliseconds that a link may be down before its container is unhealthy. */
export const LINK_DOWN_UNHEALTHY_MS = 60_000
