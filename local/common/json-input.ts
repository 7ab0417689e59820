import { AwsError } from './aws-error.ts'

/** The members of an operation's input in a JSON body; none in an empty one. Throws `SerializationException` for anything else. */
export function jsonInput(body: Buffer): Record<string, unknown> {
  if (body.length === 0) return {}
  let input: unknown
  try {
    input = JSON.parse(body.toString('utf8'))
  } catch (error) {
    throw new AwsError('SerializationException', `The body is not JSON: ${(error as Error).message}`)
  }
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    throw new AwsError('SerializationException', 'The body is not a JSON object')
  return input as Record<string, unknown>
}
