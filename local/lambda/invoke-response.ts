import type { Outcome } from './execution-environment.ts'

/** Lambda's payload limits in bytes: 6 MB for a request or response, 1 MB for an asynchronous event. */
export const MAX_SYNC_PAYLOAD_BYTES = 6 * 1024 * 1024
export const MAX_ASYNC_PAYLOAD_BYTES = 1024 * 1024
/** The limit that the error of a response names: 6 MB and 100 bytes. */
const MAX_RESPONSE_BYTES = MAX_SYNC_PAYLOAD_BYTES + 100

/** What an invocation gives back, as `InvokeCommand` does. */
export interface InvokeResponse {
  /** 200, or 202 for an asynchronous invocation. */
  readonly statusCode: number
  /** Set when the function failed; `payload` is then the error. */
  readonly functionError: 'Unhandled' | undefined
  /** The parsed result; undefined for an asynchronous invocation. */
  readonly payload: unknown
  readonly requestId: string
}

/** The response of `InvokeCommand` for an outcome; one over 6 MB is a function error. */
export function responseOf(outcome: Outcome, requestId: string): InvokeResponse {
  if (!outcome.ok) return { statusCode: 200, functionError: 'Unhandled', payload: outcome.error, requestId }
  if (Buffer.byteLength(outcome.payload) > MAX_RESPONSE_BYTES) {
    const errorMessage = `Response payload size exceeded maximum allowed payload size (${MAX_RESPONSE_BYTES} bytes).`
    const payload = { errorType: 'Function.ResponseSizeTooLarge', errorMessage }
    return { statusCode: 200, functionError: 'Unhandled', payload, requestId }
  }
  return { statusCode: 200, functionError: undefined, payload: JSON.parse(outcome.payload), requestId }
}
