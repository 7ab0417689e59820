/** Bounds and times of the delivery module. What clients are told (heartbeat, payload) stands in contracts/limits.ts. */

/** Milliseconds one post to a connection may take before its outcome counts as unclear. */
export const POST_TIMEOUT_MS = 2_000

/** Milliseconds a deliverer owns a session; it posts only while a whole post still fits, so a lease outlives its posts. */
export const LEASE_MS = 10_000

/** Milliseconds a delivery goes on within one call while the streams hold more; what is left is queued. */
export const DELIVERY_BUDGET_MS = 3_000

/** Waits, in milliseconds, between tries of a post that was answered 429 (the viewer's buffer is full). */
export const FULL_WAITS_MS = [50, 150, 400] as const

/** Deliveries put off one after another because the viewer's buffer stays full, before its connection is closed. */
export const MAX_DEFERRALS = 12

/** Seconds to the next try of a full viewer: 1, 2, 4, … */
export const deferralSeconds = (deferrals: number): number => Math.min(2 ** deferrals, 15)

/** Ledger entries read for one batch. */
export const LEDGER_BATCH = 50

/**
 * Ledger entries before the news that are read with them: most sessions stand not right before an event but before the silent entries that
 * came ahead of it. Ten entries of some 400 bytes are one read unit.
 */
export const ENTRIES_BEFORE = 5

/** Chunks of one terminal read for one batch: 100 of the largest are 2.8 MB, cut by `BATCH_MAX_BYTES`. */
export const TERMINAL_BATCH_CHUNKS = 100

/** Bytes of one batch: below Lambda's 6 MB response, and posted well within a lease. */
export const BATCH_MAX_BYTES = 1_000_000

/** Bytes of terminal data in one event, as encoded JSON: with the envelope below a 32 KB WebSocket frame. */
export const TERMINAL_EVENT_MAX_BYTES = 28 * 1024

/**
 * Terminals one connection watches at most, and as many that it has as lines; one more ends the oldest, because the frontend says `terminal_disconnect` for
 * terminals of its own agents only and may have looked at many others.
 */
export const MAX_TERMINALS = 32

/**
 * Bytes of chat history in `team-joined`: over a WebSocket it is one frame of at most 32 KB, over polling it is part of a
 * batch. Older messages are left out.
 */
export const HISTORY_MAX_BYTES = { websocket: 28 * 1024, polling: 400_000 } as const

/** Direct replies a client may leave unread, and those already given that are kept for a resume; each in count and bytes. */
export const MAX_UNREAD_REPLIES = { count: 64, bytes: 48 * 1024 } as const
export const KEPT_REPLIES = { count: 16, bytes: 4 * 1024 } as const

/** Events that may arrive before the CONNECT they follow has been handled (handlers of one connection run side by side). */
export const MAX_EARLY_PACKETS = { count: 16, chars: 64 * 1024 } as const

/** Hours a session can be resumed after its transport ended: the lifetime of the existing server's tokens. */
export const RESUME_HOURS = 24

/** Milliseconds a polling client may stay away before its session counts as ended; it polls again at once by protocol. */
export const POLL_ABSENCE_MS = 90_000

/** Milliseconds between looks at the session during a held poll: short at first (somebody is typing), then longer. */
export const POLL_STEPS_MS = [40, 60, 90, 140, 200, 300, 500] as const

/** Milliseconds for which a probe keeps ending polls; engine.io's own upgrade timeout. */
export const PROBE_MS = 10_000

/** Milliseconds a poll is held at least while an upgrade is under way, so that the client does not spin. */
export const PROBE_POLL_HOLD_MS = 100

/** Waits, in milliseconds, for a connection whose $connect has not been answered yet (the gateway says 410 till then). */
export const OPEN_WAITS_MS = [25, 50, 100, 200, 400, 800, 1600] as const

/**
 * Deliveries at once in one execution environment, over all calls and messages that it handles. Each has one request under way, and what
 * waits for a socket (the SDK's clients have 50, https://github.com/aws/aws-sdk-js-v3/pull/2024) or for its turn at a service that
 * cannot go faster uses up its time-outs: a post that was never sent would count as unclear. More would not be faster either: a third of
 * a processor is busy with a few.
 */
export const FAN_OUT = 10

/** Sessions read by one request before they are delivered to; BatchGetItem takes 100 keys. */
export const SESSIONS_READ = 50

/**
 * Sessions of a room that a call tells itself; the others are left to the queue, in shares of as many. Smaller shares are told by more
 * invocations at once, which is faster only as long as each has processor time of its own.
 */
export const SHARE = 200

/** Milliseconds after which a queued share begins no further deliveries and leaves the rest to another message. */
export const SHARE_BUDGET_MS = 10_000

/** Connections pinged at once. */
export const PING_CONCURRENCY = 32

/** Tries of a compare-and-set before the caller is told to try again. */
export const MAX_CAS_TRIES = 25

/** Characters of typed input held for a container that is starting or reconnecting, per record. */
export const MAX_HELD_INPUT = { count: 500, chars: 64 * 1024 } as const

/** Hours between renewals of a polling session's membership rows; they live for CONNECTION_TTL_HOURS. */
export const MEMBERSHIP_RENEWAL_MS = 60 * 60_000

/**
 * Seconds until a session is told again that another deliverer was at work on. No deliverer has a lease for longer, so by then the one that
 * was met has looked once more and left, or is known to have died.
 */
export const LOOK_AGAIN_SECONDS = Math.ceil((DELIVERY_BUDGET_MS + LEASE_MS) / 1000) + 1

/** Milliseconds after which who tells a room begins no further deliveries and leaves the rest to the queue. */
export const PUBLISH_BUDGET_MS = 4_000

/** Milliseconds before its time-out at which the sweep begins no further page: a page may take a publish's whole budget. */
export const SWEEP_RESERVE_MS = 10_000
