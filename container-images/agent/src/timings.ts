import { HEALTH_CHECK, STOP_TIMEOUT_SECONDS } from '../../../shared/contracts/limits.ts'

/** Every wait of the agent in milliseconds, in one place so that tests can shorten them. */
export type Timings = {
  /** From connecting to `welcome`; API Gateway itself cuts an integration at 29 s. */
  readonly welcomeMs: number
  /** From an output message to its `ack`; after it the link is opened anew and the output sent again. */
  readonly ackMs: number
  /** First and longest wait between two tries to connect. */
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
  /** A link that lasted this long ends a series of failures. */
  readonly stableLinkMs: number
  readonly healthEveryMs: number
  /** A link that is down for longer makes the container unhealthy. */
  readonly linkDownUnhealthyMs: number
  /** From the program's end to giving up on output that is not acknowledged. */
  readonly drainMs: number
  /** From SIGHUP + SIGTERM to SIGKILL when the container is stopped. */
  readonly stopGraceMs: number
  /** From SIGTERM to the container's own end, below ECS's SIGKILL. */
  readonly stopDeadlineMs: number
  /** For the closing handshake of the link. */
  readonly closeMs: number
  /** For `git clone`. */
  readonly cloneMs: number
  /**
   * The least reorder window of typed input: handlers that jitter by 100 ms, and a fifth as a reserve. A key reaches the program
   * at most this much later than over a path without jitter, while nothing takes longer than that (input-order.ts).
   */
  readonly inputWindowMs: number
}

export const TIMINGS: Timings = {
  welcomeMs: 10_000,
  ackMs: 10_000,
  backoffMinMs: 250,
  backoffMaxMs: 15_000,
  stableLinkMs: 10_000,
  healthEveryMs: HEALTH_CHECK.intervalSeconds * 1000,
  linkDownUnhealthyMs: 60_000,
  drainMs: 10_000,
  stopGraceMs: 20_000,
  stopDeadlineMs: (STOP_TIMEOUT_SECONDS - 2) * 1000,
  closeMs: 2_000,
  cloneMs: 5 * 60_000,
  inputWindowMs: 120,
}
