import { PREVIEW_KEEP_ALIVE_MS, PREVIEW_SILENCE_MS } from '../../../shared/contracts/previews.ts'

/** Every bound of the gateway. Times in milliseconds, sizes in bytes. */
export const GATEWAY_LIMITS = {
  /** To the task: the TCP connection, then the first byte of an answer. */
  connectMs: 3_000,
  answerMs: 60_000,
  /** Between two pieces of an answer. */
  bodyMs: 5 * 60_000,
  /** The same on what is open to wait for something: event streams, and WebSockets in both directions. */
  silenceMs: PREVIEW_SILENCE_MS,
  /** From the browser: request line and headers. A body may take as long as it moves (`answerMs` between two pieces). */
  headersMs: 15_000,
  keepAliveMs: PREVIEW_KEEP_ALIVE_MS,
  /** Request line and headers together; more is 431. Node's dev servers have the same bound. */
  headerBytes: 16 * 1024,
  maxConnections: 10_000,
  /** Requests that wait for their turn on one connection. No browser and no load balancer sends one ahead of the answer before. */
  pipelined: 16,
  /** At once, for one preview: requests, and WebSockets. */
  requestsPerPreview: 256,
  socketsPerPreview: 256,
  /** Body of an answer that refuses a WebSocket: piped without back-pressure by the proxy library. */
  refusalBodyBytes: 1024 * 1024,
  /**
   * Connections to one task that are kept without a request: as many as it can have had at once, because a page asks for its modules all at
   * once, again and again. And all connections to all tasks that carry requests or are kept.
   */
  idleSocketsPerPreview: 256,
  taskConnections: 40_000,
  /** What is left of a WebSocket when one side has gone: the other has so long to take what is on its way and go, too. */
  lingerMs: 10_000,
  /** Silence after which the kernel asks whether a WebSocket's task is still there. */
  probeMs: 30_000,
  /** After SIGTERM: new requests are still taken while the load balancer forgets this gateway; then all must end. */
  lameDuckMs: 5_000,
  drainMs: 25_000,
  /** What is open is looked at again: whether it would still be let through, and to where. */
  lookAgainMs: 30_000,
  /** Longest time between two loads of a page that waits for its preview, and for how long it waits at all. */
  reloadMs: 30_000,
  waitMs: 15 * 60_000,
  /** Directory answers: how long they are taken as true, how long when the directory does not answer, and how many are kept. */
  lookupTtlMs: 2_000,
  lookupStaleMs: 60_000,
  lookupEntries: 10_000,
  /** Cookies whose signature was found good, each at most 1,024 characters. */
  cookieEntries: 10_000,
  /** A piece of a WebSocket's traffic at least this long counts as a visit; keep-alives of dev servers are shorter. */
  visitBytes: 512,
} as const
export type GatewayLimits = { readonly [K in keyof typeof GATEWAY_LIMITS]: number }
