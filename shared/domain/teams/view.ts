import type { TeamContainer, TeamEnvironmentView } from '../../contracts/environments.ts'
import { CONTAINER_KINDS } from '../../contracts/environments.ts'
import type { EnvironmentStore } from '../environments/ports.ts'
import type { Environment } from '../environments/schema.ts'
import { containerViewStatus } from '../environments/transitions.ts'
import type { TeamStore } from './ports.ts'
import { syncIdOf } from './sync-record.ts'

export interface ViewDeps {
  readonly teams: Pick<TeamStore, 'get'>
  readonly environments: Pick<EnvironmentStore, 'get' | 'listAllOfTeam'>
}

/** Records that one view shows at most: agents that have ended stay listed until somebody deletes them. */
const MAX_CONTAINERS = 500
const PAGE = 100

/** The team's environment with its containers, newest first: workspace sync always, of the agents the newest `MAX_CONTAINERS`. */
export async function teamView(teamId: string, deps: ViewDeps): Promise<TeamEnvironmentView> {
  const team = await deps.teams.get(teamId)
  const [sync, listed] = await Promise.all([
    team && deps.environments.get({ teamId, id: syncIdOf(team) }),
    recordsOf(teamId, deps),
  ])
  const records = sync && !listed.some(({ id }) => id === sync.id) ? [sync, ...listed] : listed
  const containers = records
    .filter(({ backend, deletedAt }) => backend === 'docker' && deletedAt === undefined)
    .sort((a, b) => (a.createdAt < b.createdAt ? 1 : a.createdAt > b.createdAt ? -1 : 0))
    .map(containerOf)
  const report = sync?.type === 'sync' ? sync.sync.report : undefined
  return {
    teamId,
    status: team?.status ?? 'none',
    repositoryUrl: team?.repositoryUrl ?? null,
    createdAt: team?.createdAt ?? null,
    containers,
    ...(report ? { workspace: report } : {}),
  }
}

async function recordsOf(teamId: string, { environments }: ViewDeps): Promise<Environment[]> {
  const records: Environment[] = []
  let cursor: string | undefined
  do {
    const page = await environments.listAllOfTeam(teamId, { limit: PAGE, ...(cursor === undefined ? {} : { cursor }) })
    records.push(...page.records)
    cursor = page.cursor
  } while (cursor !== undefined && records.length < MAX_CONTAINERS)
  return records
}

function containerOf(record: Environment): TeamContainer {
  return {
    containerId: record.id,
    kind: CONTAINER_KINDS[record.type],
    name: record.name,
    status: containerViewStatus(record.status),
    // The others listen to nobody: what reaches them comes over their links.
    ports: record.type === 'preview' && record.preview.port !== undefined ? [record.preview.port] : [],
    health: record.health?.status ?? 'unknown',
    createdAt: record.createdAt,
    since: sinceOf(record),
    ...(record.reason === undefined ? {} : { reason: record.reason }),
    ...(record.exitCode === undefined ? {} : { exitCode: record.exitCode }),
  }
}

/** Since when the record has the status that is shown; `stopping` is shown as running. A start that is tried again counts anew. */
export function sinceOf(record: Environment): string {
  const { status, createdAt, requestedAt = createdAt, claimedAt = requestedAt, startedAt, endedAt, updatedAt } = record
  switch (status) {
    case 'requested':
      return requestedAt
    case 'starting':
      return claimedAt
    case 'running':
      return startedAt ?? updatedAt
    case 'stopping':
      return startedAt ?? record.stopRequest?.at ?? updatedAt
    case 'completed':
    case 'failed':
    case 'killed':
      return endedAt ?? updatedAt
  }
}
