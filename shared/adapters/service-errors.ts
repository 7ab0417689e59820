/** What an AWS error says of the call: whether it was refused for good, or is worth a repeat. */

/** Names that AWS services give to "too fast"; the SDK has tried a few times by then. */
const THROTTLES: readonly string[] = [
  'Throttling',
  'ThrottlingException',
  'TooManyRequests',
  'TooManyRequestsException',
  'RequestLimitExceeded',
  'SlowDown',
]

export interface ServiceError {
  readonly name: string
  readonly message: string
  /** HTTP status; undefined when there was no answer. */
  readonly status: number | undefined
}

export function asServiceError(error: unknown): ServiceError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), status: undefined }
  const fault = '$fault' in error ? error.$fault : undefined
  const metadata = '$metadata' in error ? (error.$metadata as { httpStatusCode?: number } | undefined) : undefined
  return {
    name: error.name,
    message: error.message,
    status: metadata?.httpStatusCode ?? (fault === 'client' ? 400 : undefined),
  }
}

export const isThrottle = ({ name, message }: ServiceError): boolean =>
  THROTTLES.includes(name) || /rate exceeded/i.test(message)

/** A definite no of the service: not a throttle, not a fault of its own, not a missing answer. */
export const isRefusal = (error: ServiceError): boolean =>
  error.status !== undefined && error.status < 500 && !isThrottle(error)

/**
 * What IAM has just made is not seen everywhere at once, usually for seconds. ECS then says that it cannot assume the role, that
 * the role is not valid, or that nobody may pass it (UNVERIFIED texts; pulumi/pulumi-awsx#927 and
 * terraform-aws-modules/terraform-aws-ecs#414 quote them).
 */
export const isRoleNotSeenYet = ({ message }: ServiceError): boolean =>
  /unable to assume the role|role is not valid|not authorized to perform: iam:PassRole/i.test(message)
