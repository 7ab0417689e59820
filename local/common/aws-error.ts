/**
 * An error as an AWS service answers it. Thrown by an operation, it becomes `{__type, message, ...fields}` with its
 * status on the wire, and the SDK client of the caller throws it again under the same name.
 */
export class AwsError extends Error {
  readonly code: string
  readonly statusCode: number
  /** Further members of the error's shape, such as `CancellationReasons` or `Item`. */
  readonly fields: Readonly<Record<string, unknown>>
  /** Further response headers, such as SQS's `x-amzn-query-error`. */
  readonly headers: Readonly<Record<string, string>>

  constructor(
    code: string,
    message: string,
    options: { statusCode?: number; fields?: Record<string, unknown>; headers?: Record<string, string> } = {},
  ) {
    super(message)
    this.name = code
    this.code = code
    this.statusCode = options.statusCode ?? 400
    this.fields = options.fields ?? {}
    this.headers = options.headers ?? {}
  }
}
