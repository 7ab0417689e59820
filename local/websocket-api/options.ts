import type { CloudAssembly } from '../assembly/cloud-assembly.ts'
import type { OnRequest } from '../common/aws-call.ts'
import type { Lambda } from '../lambda/lambda.ts'

/** What `createWebSocketApi` takes. Times are in milliseconds; defaults are API Gateway's. */
export interface WebSocketApiOptions {
  readonly assembly: CloudAssembly
  readonly invoke: Lambda['invoke']
  /** Which WebSocket API, when the assembly has several. */
  readonly apiId?: string | undefined
  /** Port of the management endpoint; 0, the default, takes a free one. */
  readonly managementPort?: number | undefined
  /** Sees each call to the management endpoint; may refuse or lose it. */
  readonly onRequest?: OnRequest | undefined
  readonly idleTimeoutMs?: number | undefined
  readonly maxDurationMs?: number | undefined
  /** Bytes that may wait for a slow client before posts to it are refused with 429; default 1 MB. */
  readonly maxBufferedBytes?: number | undefined
  /** The wait before each message's handler is invoked, to bring messages out of order; default none. */
  readonly jitterMs?: (() => number) | undefined
  /** The longest wait for a function, in place of the integrations' own (29 s); for tests. */
  readonly integrationTimeoutMs?: number | undefined
  /** Told of failing functions and clients that break the protocol; default prints it. */
  readonly onFailure?: ((routeKey: string, connectionId: string, reason: string) => void) | undefined
}

/** Counts since the start. */
export interface WebSocketMetrics {
  readonly open: number
  readonly connects: number
  readonly refusals: number
  readonly messages: number
  readonly posts: number
}
