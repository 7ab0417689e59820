/** What the asynchronous bundles share: one scope and one line of failure for an invocation. */
import { inspect } from 'node:util'
import middy, { type MiddyfiedHandler } from '@middy/core'
import type { Context } from 'aws-lambda'
import { CorruptRecord } from '../domain/errors.ts'
import { logger } from './logger.ts'

/** A function as Lambda calls it. */
export type LambdaFunction<Result> = (event: unknown, context: Context) => Promise<Result>

/** Milliseconds before the platform ends the function at which it fails by itself, with a line in the log that says so. */
const FAIL_BEFORE_TIMEOUT_MS = 300

/** Fields of a log line about whatever was thrown; the stack stays with it. */
export function errorFields(thrown: unknown): Record<string, unknown> {
  const error = thrown instanceof Error ? thrown : new Error(`Thrown: ${inspect(thrown, { depth: 1 }).slice(0, 500)}`)
  return error instanceof CorruptRecord ? { problem: error.problem, error } : { error }
}

/** Adds the invocation's context to the log, and logs what is thrown before it goes on to the platform. */
export function asyncFunction<Result>(
  name: string,
  run: (event: unknown, context: Context) => Promise<Result>,
): LambdaFunction<Result> {
  const wired: MiddyfiedHandler<unknown, Result> = middy<unknown, Result>({
    timeoutEarlyInMillis: FAIL_BEFORE_TIMEOUT_MS,
  })
    .before((request) => logger.addContext(request.context))
    .onError((request) => logger.error('Function failed', { trigger: name, ...errorFields(request.error) }))
    .handler(run)
  return (event, context) => wired(event, context)
}
