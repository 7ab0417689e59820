/**
 * Errors that are answers: each has a code for programs and a message for a person. Whatever is thrown and is not one of
 * these is a fault of ours and is answered as 500 without its text. The HTTP status of a code stands in
 * shared/runtime/errors-to-http.ts.
 */

export type ErrorCode =
  | 'BAD_REQUEST'
  | 'UNAUTHORIZED'
  | 'FORBIDDEN'
  | 'NOT_FOUND'
  | 'CONFLICT'
  | 'IDEMPOTENCY_KEY_REUSED'
  | 'TOO_MANY_AGENTS'
  | 'BODY_TOO_LARGE'
  | 'FILE_TOO_LARGE'
  | 'NO_SPACE'
  | 'WORKSPACE_FAILED'
  | 'REFUSED'
  | 'CORRUPT_RECORD'
  | 'UNAVAILABLE'

/** One thing that is wrong with the input; `field` is its dotted path (`containerOptions.resources.cpu`). */
export interface ErrorDetail {
  readonly field: string
  readonly message: string
}

export class AppError extends Error {
  readonly code: ErrorCode
  readonly details?: readonly ErrorDetail[]

  /** @param message For the person who asked: no ids of other teams, no text of inner errors. */
  constructor(code: ErrorCode, message: string, details?: readonly ErrorDetail[], options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
    if (details) this.details = details
  }
}

/** 400. The request cannot be understood; `details` names the fields. */
export class BadRequest extends AppError {
  constructor(message: string, details?: readonly ErrorDetail[], options?: ErrorOptions) {
    super('BAD_REQUEST', message, details, options)
  }
}

/** 401. Only for a backend that no longer takes the member's token: the frontend drops its token on this status. */
export class Unauthorized extends AppError {
  constructor(message: string, details?: readonly ErrorDetail[], options?: ErrorOptions) {
    super('UNAUTHORIZED', message, details, options)
  }
}

/** 403. Understood, and not for this member. */
export class Forbidden extends AppError {
  constructor(message: string, details?: readonly ErrorDetail[], options?: ErrorOptions) {
    super('FORBIDDEN', message, details, options)
  }
}

/** 404. Also for what belongs to another team: its existence is not told (invariant 5). */
export class NotFound extends AppError {
  constructor(message: string, details?: readonly ErrorDetail[], options?: ErrorOptions) {
    super('NOT_FOUND', message, details, options)
  }
}

/** 409. Right in itself, wrong in the present state. */
export class Conflict extends AppError {
  constructor(message: string, details?: readonly ErrorDetail[], options?: ErrorOptions) {
    super('CONFLICT', message, details, options)
  }
}

/** 422. The key was used before, for another request. */
export class IdempotencyKeyReused extends AppError {
  constructor(message = 'This Idempotency-Key was already used for another request') {
    super('IDEMPOTENCY_KEY_REUSED', message)
  }
}

/** 429. All of the team's slots are leased. */
export class TooManyAgents extends AppError {
  readonly slots: number

  constructor(slots: number) {
    super('TOO_MANY_AGENTS', `Your team already has ${slots} agents running; stop one first`)
    this.slots = slots
  }
}

/** 413. */
export class BodyTooLarge extends AppError {
  constructor(maxBytes: number) {
    super('BODY_TOO_LARGE', `The request body is larger than ${maxBytes} bytes`)
  }
}

/** 413. A file that is larger than the files API reads or writes. */
export class FileTooLarge extends AppError {
  constructor(message: string) {
    super('FILE_TOO_LARGE', message)
  }
}

/** 507. The team's files take all the room there is. */
export class NoSpace extends AppError {
  constructor(message: string) {
    super('NO_SPACE', message)
  }
}

/** 500. Workspace sync could not do it, for a reason that the member may read. */
export class WorkspaceFailed extends AppError {
  constructor(message: string) {
    super('WORKSPACE_FAILED', message)
  }
}

/** A backend's own 4xx that has no class here, passed on with its status. */
export class Refused extends AppError {
  /** 400 to 499. */
  readonly status: number

  constructor(status: number, message: string) {
    super('REFUSED', message)
    this.status = status >= 400 && status <= 499 ? status : 400
  }
}

/** 500. Something stored does not parse. `problem` (which record, which fields) is for the log, never for the answer. */
export class CorruptRecord extends AppError {
  readonly problem: string

  constructor(problem: string) {
    super('CORRUPT_RECORD', 'A stored record cannot be read')
    this.problem = problem
  }
}

/** 503. Try again later; `retryAfterSeconds` becomes `Retry-After`. */
export class Unavailable extends AppError {
  readonly retryAfterSeconds: number

  constructor(message: string, options: ErrorOptions & { retryAfterSeconds?: number } = {}) {
    super('UNAVAILABLE', message, undefined, options)
    this.retryAfterSeconds = options.retryAfterSeconds ?? 1
  }
}
