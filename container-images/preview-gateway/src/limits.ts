/** Every bound of the gateway. Times in milliseconds, sizes in bytes. */
export const GATEWAY_LIMITS = {
  /** To the task: the TCP connection, then the first byte of an answer, then between two pieces of it. */
  connectMs: 3_000,
  answerMs: 60_000,
  idleBodyMs: 5 * 60_000,
  /** From the browser: request line and headers. A body may take as long as it moves (`answerMs` between two pieces). */
  headersMs: 15_000,
  /** Longer than the idle timeout of a load balancer (60 s unless configured): it must not reuse a connection that is being closed. */
  keepAliveMs: 75_000,
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
  /** Idle connections to one task. */
  idleSocketsPerPreview: 16,
  /** After SIGTERM: new requests are still taken while the load balancer forgets this gateway; then all must end. */
  lameDuckMs: 5_000,
  drainMs: 25_000,
  /** Directory answers: how long they are taken as true, how long when the directory does not answer, and how many are kept. */
  lookupTtlMs: 2_000,
  lookupStaleMs: 60_000,
  lookupEntries: 10_000,
  /** A piece of a WebSocket's traffic at least this long counts as a visit; keep-alives of dev servers are shorter. */
  visitBytes: 512,
} as const
export type GatewayLimits = { readonly [K in keyof typeof GATEWAY_LIMITS]: number }
