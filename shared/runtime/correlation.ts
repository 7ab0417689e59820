/**
 * What belongs to one invocation (or one record of a batch): its correlation id and the fields of its log lines. Kept in an
 * AsyncLocalStorage, so that records handled side by side do not write under each other's id.
 */
import { AsyncLocalStorage } from 'node:async_hooks'

export interface Scope {
  readonly correlationId: string
  readonly fields: Readonly<Record<string, unknown>>
}

const scopes = new AsyncLocalStorage<Scope>()

/** Everything that `run` starts logs with this correlation id and these fields beside its own. */
export function inScope<T>(scope: Scope, run: () => T): T {
  return scopes.run(scope, run)
}

export const currentScope = (): Scope | undefined => scopes.getStore()

const CORRELATION_ID = /^[\w.:/=+-]{1,128}$/

/** A caller's own correlation id when it is short and plain enough to be logged and passed on, else `fallback`. */
export function correlationIdFrom(given: unknown, fallback: string): string {
  return typeof given === 'string' && CORRELATION_ID.test(given) ? given : fallback
}
