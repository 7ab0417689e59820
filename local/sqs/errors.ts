import { AwsError } from '../common/aws-error.ts'

/**
 * Refuses a call. `queryCode` is the code of the older query protocol, which SDKs give as `error.Code`; it differs from
 * the name for some errors.
 */
export function refuse(code: string, message: string, queryCode = code): never {
  throw new AwsError(code, message, { headers: { 'x-amzn-query-error': `${queryCode};Sender` } })
}
