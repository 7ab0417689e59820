import type { IncomingHttpHeaders } from 'node:http'

/** One call as it arrived, before its operation runs. */
export interface AwsCall {
  /** The service's name, for example `ecs`. */
  readonly service: string
  /** The operation's name, for example `RunTask`. */
  readonly operation: string
  readonly headers: IncomingHttpHeaders
  /** The path of the request; SQS queue URLs have one. */
  readonly path: string
  readonly requestId: string
  /** The access key in the request's signature, which tells who calls; undefined for an unsigned request. */
  readonly accessKeyId: string | undefined
  readonly input: Readonly<Record<string, unknown>>
}

/** What `onRequest` may do to a call: lose it before it has an effect, or carry it out and lose the answer. */
export type Disturbance = 'lose-request' | 'lose-answer'

/**
 * Sees each call before it is carried out. It may count it, hold it up (by returning a promise), refuse it (by throwing
 * an `AwsError`), or lose it or its answer, which the client sees as a connection reset.
 */
export type OnRequest = (call: AwsCall) => Disturbance | undefined | Promise<Disturbance | undefined>

/** Answers one operation. `undefined` is an empty answer. Throw an `AwsError` to refuse. */
// biome-ignore lint/suspicious/noExplicitAny: the input is checked by each operation; the wire has no type
export type AwsOperation = (input: any, call: AwsCall) => unknown

/** The access key id in a Signature Version 4 `Authorization` header; undefined when there is none. */
export function accessKeyIdOf(headers: IncomingHttpHeaders): string | undefined {
  return /Credential=([^/,\s]+)\//.exec(headers.authorization ?? '')?.[1]
}
