import { HEALTH_CHECK, SYNC_INTERVAL_SECONDS, SYNC_STOP_TIMEOUT_SECONDS } from '../../../shared/contracts/limits.ts'
import { LINK_DOWN_UNHEALTHY_MS, LINK_TIMINGS, type LinkTimings } from '../../common/src/link-timings.ts'

/** Every wait of workspace sync in milliseconds, in one place so that tests can shorten them. */
export type SyncTimings = LinkTimings & {
  /** From the end of a round to the begin of the next. */
  readonly roundEveryMs: number
  /** From a write through the files API to the round that commits it: some more may follow. */
  readonly soonMs: number
  /** First and longest wait between two tries to prepare the workspace. */
  readonly prepareMinMs: number
  readonly prepareMaxMs: number
  readonly healthEveryMs: number
  /** A link that is down for longer makes the container unhealthy. */
  readonly linkDownUnhealthyMs: number
  /** A round or a preparation that takes longer makes the container unhealthy: each has a bound of its own below this. */
  readonly stuckMs: number
  /** For the answer to `ask-authors`; the engine waits a second longer. */
  readonly authorsMs: number
  /** A report sent less than this before the link was lost is sent again, because it may have been lost with it. */
  readonly reportUnsureMs: number
  /** From SIGTERM to the end of the last commit and push. */
  readonly finishMs: number
  /** From SIGTERM to the container's own end, below ECS's SIGKILL. */
  readonly stopDeadlineMs: number
}

export const SYNC_TIMINGS: SyncTimings = {
  ...LINK_TIMINGS,
  roundEveryMs: SYNC_INTERVAL_SECONDS * 1000,
  soonMs: 2_000,
  prepareMinMs: 5_000,
  prepareMaxMs: 60_000,
  healthEveryMs: HEALTH_CHECK.intervalSeconds * 1000,
  linkDownUnhealthyMs: LINK_DOWN_UNHEALTHY_MS,
  stuckMs: 30 * 60_000,
  authorsMs: 4_000,
  reportUnsureMs: 10_000,
  finishMs: (SYNC_STOP_TIMEOUT_SECONDS - 15) * 1000,
  stopDeadlineMs: (SYNC_STOP_TIMEOUT_SECONDS - 3) * 1000,
}
