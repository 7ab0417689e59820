/** Previews that nobody visits are stopped, until the next visit. */
import { orderWork, sendEvent, type WorkSender } from '../environments/operations.ts'
import type { EnvironmentStore } from '../environments/ports.ts'
import type { Environment } from '../environments/schema.ts'
import type { Publish } from '../realtime/publish.ts'
import type { PreviewVisits } from './ports.ts'

export interface IdleDeps {
  readonly environments: EnvironmentStore
  readonly visits: PreviewVisits
  readonly publish: Publish
  readonly queue: WorkSender
  readonly clock: { now(): Date }
  /** Milliseconds without a visit. */
  readonly previewIdleMs: number
  readonly warn: (message: string, fields: Record<string, unknown>) => void
}

const CORRELATION_ID = 'reconcile'

/** Of all live records, as they were read just now. Answers how many were stopped. One preview's trouble does not keep the others running. @throws AggregateError after all of them. */
export async function stopIdlePreviews(records: readonly Environment[], deps: IdleDeps): Promise<number> {
  const since = deps.clock.now().getTime() - deps.previewIdleMs
  const old = records
    .filter((record) => record.type === 'preview')
    .filter(({ status, startedAt }) => status === 'running' && Date.parse(startedAt ?? '') <= since)
  if (old.length === 0) return 0
  const visits = await deps.visits.lastVisits(old.map(({ preview }) => preview.label))
  const idle = old.filter(({ preview }) => (visits.get(preview.label) ?? 0) <= since)
  const minutes = Math.round(deps.previewIdleMs / 60_000)
  const reason = `nobody visited it for ${minutes} minutes; the next visit starts it again`
  const errors: unknown[] = []
  let stopped = 0
  for (const record of idle) {
    try {
      const done = await sendEvent(record, { type: 'stop-ordered', reason, isIdle: true }, CORRELATION_ID, deps)
      if (!done?.entry) continue
      stopped++
      await orderWork(done.record, CORRELATION_ID, deps)
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) throw new AggregateError(errors, `${errors.length} idle previews could not be stopped`)
  return stopped
}
