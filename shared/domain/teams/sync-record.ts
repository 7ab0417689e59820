/** The record of a team's workspace sync, and of the task that erases a team's files. */
import { v5 as uuidv5 } from 'uuid'
import { DEFAULT_TASK_SIZE } from '../../contracts/limits.ts'
import type { Change } from '../environments/ports.ts'
import type { SyncEnvironment } from '../environments/schema.ts'
import type { Actor } from '../ledger/schema.ts'
import type { Owner } from './ports.ts'
import type { TeamEnvironment } from './schema.ts'

type Purpose = SyncEnvironment['sync']['purpose']

/**
 * Derived, so that making it twice is one record; from the incarnation, so that no later record of the team has the same id and
 * with it the same client tokens, which ECS remembers for a day.
 */
export const syncIdOf = ({ teamId, incarnation }: Owner, purpose: Purpose = 'sync'): string =>
  uuidv5(`${teamId}/${purpose}`, incarnation)

export const NAME_OF: Readonly<Record<Purpose, (teamId: string) => string>> = {
  sync: (teamId) => `covibes_sync_${teamId}`,
  erase: (teamId) => `covibes_erase_${teamId}`,
}

export function newSyncRecord(
  team: TeamEnvironment,
  purpose: Purpose,
  { at, by, correlationId }: { at: string; by: SyncEnvironment['createdBy']; correlationId: string },
): SyncEnvironment {
  return {
    teamId: team.teamId,
    id: syncIdOf(team, purpose),
    type: 'sync',
    name: NAME_OF[purpose](team.teamId),
    backend: 'docker',
    status: 'requested',
    generation: 1,
    attempt: 1,
    revision: 1,
    createdAt: at,
    updatedAt: at,
    createdBy: by,
    sync: { purpose },
    repositoryUrl: team.repositoryUrl,
    size: DEFAULT_TASK_SIZE.sync,
    correlationId,
  }
}

export const syncRequested = (record: SyncEnvironment, actor: Actor): Change['entry'] => ({
  at: record.createdAt,
  actor,
  cause: record.sync.purpose === 'erase' ? 'erase-requested' : 'sync-requested',
  correlationId: record.correlationId,
})
