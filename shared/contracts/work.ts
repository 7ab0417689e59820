/** Messages of the work queue: what a function leaves to be done after it has answered, or later than now. */
import * as z from 'zod'
import { WakePreviewSchema } from './previews.ts'

/** Sessions in one `tell`: some 3 KB, so that ten of them are one batch and one 64 KB request of SQS. */
export const MAX_SHARE = 100

const environment = {
  teamId: z.string().min(1),
  environmentId: z.string().min(1),
  generation: z.number().int().min(1),
  correlationId: z.string(),
}

export const WorkSchema = z.discriminatedUnion('kind', [
  /**
   * Bring the record's container up: claim the attempt, call RunTask. `repeat` counts calls with one token after unclear answers,
   * `waits` how often it was put off because something that it needs was not there yet.
   */
  z.object({
    kind: z.literal('start-environment'),
    ...environment,
    repeat: z.number().int().min(0).default(0),
    waits: z.number().int().min(0).default(0),
  }),
  /** Ask ECS to stop the record's task; repeated until it is seen stopped. */
  z.object({ kind: z.literal('stop-environment'), ...environment }),
  /** A member stopped the team's environment: stop workspace sync once the agents have ended, or at `until` (ms since the epoch). */
  z.object({
    kind: z.literal('stop-team'),
    teamId: z.string().min(1),
    incarnation: z.string().min(1),
    userId: z.string(),
    until: z.number(),
    correlationId: z.string(),
  }),
  /**
   * Take a team's environment down, one step a message: containers, then (if it is to be erased) its files, then task definitions, roles,
   * access points and the item itself. `incarnation` names the environment meant, so that one created since stays.
   */
  z.object({
    kind: z.literal('remove-team'),
    teamId: z.string().min(1),
    incarnation: z.string().min(1),
    correlationId: z.string(),
  }),
  /** A preview that was stopped because nobody visited it is visited: sent by the gateway. */
  WakePreviewSchema,
  /** A WebSocket opened without a session id: send the Engine.IO open packet, which cannot be posted during $connect. */
  z.object({ kind: z.literal('open-socket'), connectionId: z.string().min(1), sid: z.string().min(1) }),
  /**
   * Tell these of a room's sessions what is new in it: a share of a room that is too large for one call. Of a team it is what stands above
   * the ledger sequence `after`. `again`: sessions that another deliverer was at work on when they were told before.
   */
  z.object({
    kind: z.literal('tell'),
    news: z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('team'), teamId: z.string().min(1), after: z.number().int().min(0) }),
      z.object({ kind: z.literal('terminal'), teamId: z.string().min(1), agentId: z.string().min(1) }),
    ]),
    sids: z.array(z.string().min(1)).min(1).max(MAX_SHARE),
    again: z.boolean(),
  }),
  /** Deliver what a connection's streams hold, later than now (a full or briefly unreachable viewer). */
  z.object({ kind: z.literal('deliver'), sid: z.string().min(1), attempt: z.number().int().min(0) }),
  /**
   * Close a connection that has not been authenticated by now: a session, or with `connectionId` that WebSocket, which may also
   * be the probe of an upgrade that was never completed.
   */
  z.object({
    kind: z.literal('close-unauthenticated'),
    sid: z.string().min(1),
    connectionId: z.string().min(1).optional(),
  }),
])
export type Work = z.infer<typeof WorkSchema>

/** SQS delays a message by at most 15 minutes. Seconds. */
export const MAX_WORK_DELAY_SECONDS = 900
