import { HEALTH_CHECK, STOP_TIMEOUT_SECONDS } from '../../../shared/contracts/limits.ts'
import { LINK_DOWN_UNHEALTHY_MS, LINK_TIMINGS, type LinkTimings } from '../../common/src/link-timings.ts'

/** Every wait of the agent in milliseconds, in one place so that tests can shorten them. */
export type Timings = LinkTimings & {
  /** From an output message to its `ack`; after it the link is opened anew and the output sent again. */
  readonly ackMs: number
  readonly healthEveryMs: number
  /** A link that is down for longer makes the container unhealthy. */
  readonly linkDownUnhealthyMs: number
  /** From the program's end to giving up on output that is not acknowledged. */
  readonly drainMs: number
  /** From SIGHUP + SIGTERM to SIGKILL when the container is stopped. */
  readonly stopGraceMs: number
  /** From SIGTERM to the container's own end, below ECS's SIGKILL. */
  readonly stopDeadlineMs: number
  /**
   * The least reorder window of typed input: handlers that jitter by 100 ms, and a fifth as a reserve. A key reaches the program
   * at most this much later than over a path without jitter, while nothing takes longer than that (input-order.ts).
   */
  readonly inputWindowMs: number
}

export const TIMINGS: Timings = {
  ...LINK_TIMINGS,
  ackMs: 10_000,
  healthEveryMs: HEALTH_CHECK.intervalSeconds * 1000,
  linkDownUnhealthyMs: LINK_DOWN_UNHEALTHY_MS,
  drainMs: 10_000,
  stopGraceMs: 20_000,
  stopDeadlineMs: (STOP_TIMEOUT_SECONDS - 2) * 1000,
  inputWindowMs: 120,
}
