/** Messages of the work queue: what a function leaves to be done after it has answered, or later than now. */
import * as z from 'zod'
import { WakePreviewSchema } from './previews.ts'

/** Characters of a session id in a message: enough to find a share of a room by, and no use to who finds the message. */
export const SESSION_RANGE_CHARS = 6
const edge = z.string().min(1).max(SESSION_RANGE_CHARS)

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
   * Tell a share of a room, which is too large for one call, what is new in it: the sessions whose ids begin with `from`, with `to`, or lie
   * between. Of a team it is what stands above the ledger sequence `after`. `again`: at some of them another deliverer was at work before.
   */
  z.object({
    kind: z.literal('tell'),
    news: z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('team'), teamId: z.string().min(1), after: z.number().int().min(0) }),
      z.object({ kind: z.literal('terminal'), teamId: z.string().min(1), agentId: z.string().min(1) }),
    ]),
    sessions: z.object({ from: edge, to: edge }),
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
