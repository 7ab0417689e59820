/** Optimistic writes: tried again when somebody else was first, with jittered back-off, a bounded number of times. */
import { setTimeout as delay } from 'node:timers/promises'
import { ConditionalCheckFailedException, TransactionCanceledException } from '@aws-sdk/client-dynamodb'
import { Unavailable } from '../../domain/errors.ts'

/** Twelve tries with back-off up to 320 ms wait at most about 2 s in all; a team has a few writers, not hundreds. */
const MAX_TRIES = 12
const FIRST_PAUSE_MS = 5
const LONGEST_PAUSE_MS = 320

/** `attempt` answers undefined when it lost a race. Errors pass through. */
export async function retryWrite<T>(attempt: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 1; ; tries++) {
    const result = await attempt()
    if (result !== undefined) return result
    if (tries === MAX_TRIES) throw new Unavailable('too many changes at once, try again')
    await delay(Math.random() * Math.min(FIRST_PAUSE_MS * 2 ** tries, LONGEST_PAUSE_MS))
  }
}

export const isConditionalCheckFailed = (error: unknown): boolean => error instanceof ConditionalCheckFailedException

/**
 * Codes of a cancelled transaction, one an item, when nothing but lost races cancelled it; undefined for any other error
 * (a throttled or invalid transaction is not a race).
 */
export function lostRaces(error: unknown): readonly string[] | undefined {
  if (!(error instanceof TransactionCanceledException)) return undefined
  const codes = (error.CancellationReasons ?? []).map(({ Code = 'None' }) => Code)
  const races =
    codes.length > 0 && codes.every((code) => ['None', 'ConditionalCheckFailed', 'TransactionConflict'].includes(code))
  return races ? codes : undefined
}
