/** `publish`: committed entries reach the team's connections and the event bus; the sweep does what a dead publisher left. */

import type { DomainEvent } from '../../contracts/domain-events.ts'
import { OUTBOX_SWEEP_AFTER_MS } from '../../contracts/limits.ts'
import { OUTBOX_SHARDS } from '../../contracts/tables.ts'
import { isTold, type LedgerEntry } from '../ledger/schema.ts'
import { tellRoom } from './fan-out.ts'
import { ENTRIES_BEFORE } from './limits.ts'
import type { PublishDeps } from './ports.ts'
import type { Publish } from './publish.ts'

export const createPublish =
  (deps: PublishDeps): Publish =>
  (entries) =>
    publishEntries(entries, deps)

/**
 * See `Publish`. An entry is settled only when every connection of its team is certain to get it and the bus has its fact;
 * a connection whose deliverer may still die keeps it in the outbox, for the sweep to look once more.
 */
export async function publishEntries(entries: readonly LedgerEntry[], deps: PublishDeps): Promise<void> {
  const byTeam = Map.groupBy(entries.filter(isTold), ({ teamId }) => teamId)
  await Promise.all([...byTeam].map(([teamId, ofTeam]) => publishTeam(teamId, ofTeam, deps)))
}

async function publishTeam(teamId: string, entries: readonly LedgerEntry[], deps: PublishDeps): Promise<void> {
  try {
    const facts = entries.flatMap(statusFact)
    const first = Math.min(...entries.map(({ sequence }) => sequence))
    const after = Math.max(first - 1 - ENTRIES_BEFORE, 0)
    const [isTold] = await Promise.all([
      tellRoom({ kind: 'team', teamId, after }, deps),
      facts.length > 0 ? deps.events.put(facts) : undefined,
    ])
    if (isTold) await deps.outbox.settle(entries)
  } catch (error) {
    deps.log.error('Publishing failed, the outbox sweep repeats it', {
      teamId,
      sequences: entries.map(({ sequence }) => sequence),
      error,
    })
  }
}

/** The fact that a status changed; its id is the same however often it is put. */
export function statusFact(entry: LedgerEntry): DomainEvent[] {
  const { teamId, sequence, at, correlationId, cause, environment, reason } = entry
  if (!environment || environment.from === environment.to) return []
  const { id, type, generation, from, to } = environment
  return [
    {
      id: `${teamId}/${sequence}`,
      type: 'environment.status-changed',
      version: 1,
      occurredAt: at,
      correlationId,
      data: {
        teamId,
        environmentId: id,
        environmentType: type,
        generation,
        from,
        to,
        cause,
        ...(reason === undefined ? {} : { reason }),
      },
    },
  ]
}

/** Entries that were committed some time ago and are still unsettled are published again, shard by shard, until `until` (ms). */
export async function sweepOutbox(until: number, deps: PublishDeps): Promise<{ entries: number; finished: boolean }> {
  const before = new Date(deps.clock.now().getTime() - OUTBOX_SWEEP_AFTER_MS)
  let swept = 0
  for (let shard = 0; shard < OUTBOX_SHARDS; shard++) {
    let cursor: string | undefined
    do {
      if (deps.clock.now().getTime() >= until) return { entries: swept, finished: false }
      const page = await deps.outbox.pending(shard, before, cursor)
      await publishEntries(page.entries, deps)
      swept += page.entries.length
      cursor = page.cursor
    } while (cursor !== undefined)
  }
  return { entries: swept, finished: true }
}
