/** The one table from error codes to HTTP statuses, and what an error of any kind looks like to a client. */
import { AppError, type ErrorCode, type ErrorDetail, Refused, Unavailable } from '../domain/errors.ts'

export const STATUS_OF_CODE = {
  BAD_REQUEST: 400,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  CONFLICT: 409,
  BODY_TOO_LARGE: 413,
  FILE_TOO_LARGE: 413,
  NO_SPACE: 507,
  WORKSPACE_FAILED: 500,
  IDEMPOTENCY_KEY_REUSED: 422,
  TOO_MANY_AGENTS: 429,
  /** The status that the backend gave; this one when it gave none. */
  REFUSED: 400,
  CORRUPT_RECORD: 500,
  UNAVAILABLE: 503,
} as const satisfies Record<ErrorCode, number>

export interface HttpError {
  readonly status: number
  readonly code: ErrorCode | 'INTERNAL'
  /** For a person; nothing of an inner error. */
  readonly message: string
  readonly details?: readonly ErrorDetail[]
  readonly retryAfterSeconds?: number
}

/** Names of AWS errors that mean "too fast": the SDK has already tried again by the time they get here. */
const THROTTLES = new Set([
  'ThrottlingException',
  'ThrottledException',
  'Throttling',
  'TooManyRequestsException',
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'RequestThrottled',
  'RequestThrottledException',
  'LimitExceededException',
  'TransactionInProgressException',
])
/** Cancellation reasons of a transaction that say the same. */
const BUSY_REASONS = new Set(['ThrottlingError', 'ProvisionedThroughputExceeded', 'TransactionConflict'])
/** No answer, or none in time: the SDK's, fetch's and middy's names for it. */
const TIMEOUTS = new Set(['TimeoutError', 'RequestTimeout', 'RequestTimeoutException'])
const NETWORK_CODES = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN'])

type Fields = Readonly<Record<string, unknown>>
const fieldsOf = (value: unknown): Fields | undefined =>
  typeof value === 'object' && value !== null ? (value as Fields) : undefined

/** What a dependency's failure means for the client, or undefined when it is a fault of ours. */
function dependencyTrouble(error: unknown): { message: string; retryAfterSeconds: number } | undefined {
  const fields = fieldsOf(error)
  if (!fields) return undefined
  const { name, code } = fields
  const reasons = Array.isArray(fields.CancellationReasons) ? fields.CancellationReasons : []
  const throttled =
    (typeof name === 'string' && THROTTLES.has(name)) ||
    fieldsOf(fields.$retryable)?.throttling === true ||
    reasons.some((reason) => BUSY_REASONS.has(String(fieldsOf(reason)?.Code)))
  if (throttled) return { message: 'Too busy right now; try again in a moment', retryAfterSeconds: 2 }
  if (typeof name === 'string' && TIMEOUTS.has(name)) {
    return { message: 'This took too long; try again in a moment', retryAfterSeconds: 2 }
  }
  const status = fieldsOf(fields.$metadata)?.httpStatusCode
  const unreachable =
    (typeof status === 'number' && status >= 500) || (typeof code === 'string' && NETWORK_CODES.has(code))
  return unreachable
    ? { message: 'A service this depends on is unavailable; try again in a moment', retryAfterSeconds: 5 }
    : undefined
}

/** Never throws, whatever was thrown. */
export function toHttpError(error: unknown): HttpError {
  if (error instanceof AppError) {
    return {
      status: error instanceof Refused ? error.status : STATUS_OF_CODE[error.code],
      code: error.code,
      message: error.message,
      ...(error.details ? { details: error.details } : {}),
      ...(error instanceof Unavailable ? { retryAfterSeconds: error.retryAfterSeconds } : {}),
    }
  }
  const trouble = dependencyTrouble(error)
  if (trouble) return { status: STATUS_OF_CODE.UNAVAILABLE, code: 'UNAVAILABLE', ...trouble }
  return { status: 500, code: 'INTERNAL', message: 'Internal error' }
}

/** Whether the operators must look at it: faults of ours and of our dependencies, not of the client's request. */
export const isFault = (error: HttpError): boolean => error.status >= 500
