/**
 * Every number the control plane is designed to, written once. Sources are the AWS documentation page or the design page
 * named beside it; CDK, functions, images, the one-machine runtime and tests all read them here.
 */

/** vCPU units (1024 = 1 vCPU) and MiB of a Fargate task. */
export type TaskSize = { readonly cpu: number; readonly memory: number }

/** Sizes by kind of container: agent 1 vCPU / 2 GB, preview 0.5 / 1 GB, sync 0.25 / 0.5 GB (Fargate's least). */
export const DEFAULT_TASK_SIZE = {
  agent: { cpu: 1024, memory: 2048 },
  preview: { cpu: 512, memory: 1024 },
  sync: { cpu: 256, memory: 512 },
} as const satisfies Record<string, TaskSize>

/** The largest container a team may ask for unless its flags say otherwise: what the existing frontend offers at most. */
export const DEFAULT_TEAM_TASK_LIMIT: TaskSize = { cpu: 4096, memory: 8192 }

/** Live agents a team may have at once unless its flags say otherwise (the existing server's cap on its list). */
export const DEFAULT_TEAM_AGENT_SLOTS = 20

/** Container health check: every 30 s, 5 s to answer, 3 failures (integration guide). Seconds, seconds, count. */
export const HEALTH_CHECK = { intervalSeconds: 30, timeoutSeconds: 5, retries: 3, startPeriodSeconds: 60 } as const

/** Seconds a container has between SIGTERM and SIGKILL; Fargate allows 2 to 120. */
export const STOP_TIMEOUT_SECONDS = 30

/** Port of an agent's own /health and /status. */
export const AGENT_STATUS_PORT = 8080

/** Identity of every process in our images, and owner of every writable path in them. */
export const CONTAINER_USER = { uid: 1000, gid: 1000 } as const

/** Milliseconds a link ticket lives when nobody uses it (invariant 5: ten minutes). */
export const LINK_TICKET_TTL_MS = 10 * 60_000

/** RunTask tries within one generation, the first included. */
export const MAX_START_ATTEMPTS = 3

/** Calls of RunTask with one token after unclear answers (timeouts, 5xx), before the start is given up. */
export const MAX_UNCLEAR_REPEATS = 4

/** Milliseconds to wait for one RunTask answer before it counts as unclear. */
export const RUN_TASK_TIMEOUT_MS = 8_000

/** Milliseconds a record may be `starting` before it is failed; Fargate starts in 30–60 s, a cold pull of a large image in minutes. */
export const START_DEADLINE_MS = 10 * 60_000

/** Milliseconds after which a committed change that is still in the outbox is pushed again by the sweep. */
export const OUTBOX_SWEEP_AFTER_MS = 10_000

/** Longest terminal input taken in one HTTP request or socket event, in UTF-16 units: the existing client's 1 MB paste. */
export const MAX_INPUT_CHARS = 1_000_000

/** Longest task text of a spawn request (the existing server's bound). */
export const MAX_TASK_CHARS = 1000

/** Largest JSON body the API takes, in bytes; API Gateway itself takes 10 MB. A larger one is 413. */
export const MAX_BODY_BYTES = 1_500_000

/** API Gateway WebSocket: frame and message bounds in bytes (quotas page). Frames are the tighter one for clients that do not fragment. */
export const WEBSOCKET_MAX_FRAME_BYTES = 32 * 1024
export const WEBSOCKET_MAX_MESSAGE_BYTES = 128 * 1024

/** Bytes of terminal output a container puts in one link message, as encoded JSON: below the 32 KB frame with room for the envelope. */
export const LINK_CHUNK_MAX_ENCODED_BYTES = 28 * 1024

/** Bytes of terminal log kept for an agent (newest part). */
export const TERMINAL_LOG_MAX_BYTES = 4 * 1024 * 1024

/** Days kept: terminal log after its last write, ledger entries, idempotency keys. */
export const TERMINAL_LOG_TTL_DAYS = 7
export const LEDGER_TTL_DAYS = 90
export const IDEMPOTENCY_TTL_HOURS = 24

/** Terminal size until the first resize; bounds of a resize. */
export const DEFAULT_TERMINAL = { cols: 80, rows: 24 } as const
export const MAX_TERMINAL = { cols: 500, rows: 300 } as const

/**
 * Engine.IO heartbeat, in milliseconds. Pings come from a one-minute schedule, and a client closes when none arrives within
 * interval + timeout, so the announced sum covers two lost schedules.
 */
export const ENGINE_PING_INTERVAL_MS = 60_000
export const ENGINE_PING_TIMEOUT_MS = 120_000

/** Milliseconds a long poll is held; HTTP APIs cut at 30 s. */
export const POLL_HOLD_MS = 20_000

/** Bytes one polling POST may carry, announced as maxPayload; below Lambda's 6 MB request. */
export const ENGINE_MAX_PAYLOAD_BYTES = 4_000_000

/** Seconds a connection may stay without a CONNECT that was accepted. */
export const AUTHENTICATION_SECONDS = 10

/** Longest chat message, in UTF-16 units and in bytes of JSON: twice in one event (two names for it), below a 32 KB frame. */
export const MAX_CHAT_CHARS = 4_000
export const MAX_CHAT_ENCODED_BYTES = 12 * 1024

/** Chat messages given at `join-team`: the existing server's number. */
export const CHAT_HISTORY = 50
export const CHAT_TTL_DAYS = 90

/** Hours a connection row outlives its last change: API Gateway cuts a WebSocket after 2 h. */
export const CONNECTION_TTL_HOURS = 3

/** Bytes of a workspace layout as JSON: one DynamoDB item holds 400 KB with its keys. A larger one is 413. */
export const WORKSPACE_CONFIG_MAX_BYTES = 390_000

/** Milliseconds a forwarded request may take: the function behind it has 28 s, API Gateway cuts at 30 s. */
export const FORWARD_TIMEOUT_MS = 26_000

/** Bytes of a function's answer, the JSON around the body included (Lambda quotas: 6 MB, synchronous). */
export const LAMBDA_MAX_RESPONSE_BYTES = 6 * 1024 * 1024

/** Milliseconds after which `GET /api/auth/me` is answered with what the existing server said last, when that is known. */
export const AUTH_ME_PATIENCE_MS = 2_000

/** Milliseconds an answer of `GET /api/auth/me` may be used in the existing server's place; a token lives 24 h, too. */
export const AUTH_ME_KEPT_MS = 24 * 60 * 60_000

/** Parts of one message over a link: a file of `MAX_FILE_BYTES` as JSON in the worst case, at `LINK_CHUNK_MAX_ENCODED_BYTES` a part. */
export const MAX_MESSAGE_PARTS = 288

/** Bytes of a file that the files API reads or writes: an editor's, and four DynamoDB items' worth. A larger one is 413. */
export const MAX_FILE_BYTES = 1024 * 1024

/** Entries of a listing by the files API; what is more is left out and said to be. */
export const MAX_LISTED_FILES = 5_000

/** Milliseconds the files API waits for workspace sync, its wake-up included; then it is 503 with `Retry-After`. */
export const FILES_PATIENCE_MS = 8_000

/** Seconds between two rounds of workspace sync with nothing asked for. */
export const SYNC_INTERVAL_SECONDS = 15

/** Milliseconds without agents, previews or use of its files after which a team's workspace sync is stopped. */
export const TEAM_IDLE_MS = 15 * 60_000

/** Seconds workspace sync has between SIGTERM and SIGKILL for a last commit and push: Fargate's most. */
export const SYNC_STOP_TIMEOUT_SECONDS = 120

/** Milliseconds an agent waits for workspace sync to make the working tree: a Fargate start and a clone. */
export const WORKSPACE_PATIENCE_MS = 5 * 60_000

/** Milliseconds a signature of the internal API is good for, before and after its time. */
export const SIGNATURE_VALID_MS = 5 * 60_000

/** Ports that previews lease (integration guide): 4,000 at once over all teams. */
export const PREVIEW_PORTS = { min: 5000, max: 8999 } as const

/** Milliseconds without a visitor after which a preview is stopped; the next visit starts it again. */
export const PREVIEW_IDLE_MS = 30 * 60_000
