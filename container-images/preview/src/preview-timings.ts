import { HEALTH_CHECK, WORKSPACE_PATIENCE_MS } from '../../../shared/contracts/limits.ts'
import { LINK_DOWN_UNHEALTHY_MS, LINK_TIMINGS, type LinkTimings } from '../../common/src/link-timings.ts'
import { MIRROR_TIMINGS, type MirrorTimings } from './mirror/mirror-thread.ts'
import { RUN_TIMINGS, type RunTimings } from './run/run-timings.ts'

/** Every wait of a preview in milliseconds, in one place so that tests can shorten them. */
export type PreviewTimings = LinkTimings &
  MirrorTimings &
  RunTimings & {
    /** From an output message to its `ack`; after it the link is opened anew and the output sent again. */
    readonly ackMs: number
    readonly healthEveryMs: number
    /** A link that is down for longer makes the container unhealthy. */
    readonly linkDownUnhealthyMs: number
    /** A working tree that is not there for longer is told as a failure; it is waited for all the same. */
    readonly treePatienceMs: number
    /** From SIGTERM to giving up on output that is not acknowledged, and to the container's own end. */
    readonly drainMs: number
    readonly stopDeadlineMs: number
  }

export const PREVIEW_TIMINGS: PreviewTimings = {
  ...LINK_TIMINGS,
  ...MIRROR_TIMINGS,
  ...RUN_TIMINGS,
  ackMs: 10_000,
  healthEveryMs: HEALTH_CHECK.intervalSeconds * 1000,
  linkDownUnhealthyMs: LINK_DOWN_UNHEALTHY_MS,
  treePatienceMs: WORKSPACE_PATIENCE_MS,
  drainMs: 2_000,
  stopDeadlineMs: 9_500,
}
