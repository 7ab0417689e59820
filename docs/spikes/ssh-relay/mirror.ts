/**
 * The control plane's side of the bridge: what the existing server's events mean for the team's records. An event is a hint; the
 * record decides, so a repeated, late or reordered one changes nothing, and a list repairs whatever was missed.
 */

/** What the existing server says of an agent. */
export interface Observed {
  readonly id: string
  readonly userId: string
  readonly status: string
}

/** One thing the bridge has heard, from the one leg of the team that listens. */
export type Report = { readonly teamId: string } & (
  | { readonly kind: 'list'; readonly agents: readonly Observed[] }
  | { readonly kind: 'spawned'; readonly agent: Observed }
  | { readonly kind: 'status'; readonly agentId: string; readonly status: string }
  | { readonly kind: 'deleted'; readonly agentId: string }
  | { readonly kind: 'all-deleted' }
)
// The answer of GET /api/agents is adopted agent by agent as `spawned`: it may be older than what the leg has heard since, so
// it must not delete anything.

export type MirrorStatus = 'starting' | 'running' | 'completed' | 'failed' | 'killed'
export interface Mirrored {
  readonly id: string
  readonly userId: string
  readonly status: MirrorStatus
  readonly deleted: boolean
}

/**
 * A change of one record, which commits together with the ledger entry that tells the members. `forgotten`: a tombstone of an
 * agent that nobody has been told of, lest an older list bring it to life; nobody is told of it.
 */
export interface MirrorChange {
  readonly kind: 'spawned' | 'status' | 'deleted' | 'forgotten'
  readonly agent: Mirrored
}

/** Later stages only: `running` is never followed by `starting`, and final states stay. */
const RANK: Readonly<Record<MirrorStatus, number>> = { starting: 0, running: 1, completed: 2, failed: 2, killed: 2 }
const isStatus = (status: string): status is MirrorStatus => Object.hasOwn(RANK, status)
export const isLive = ({ status, deleted }: Mirrored): boolean => !deleted && RANK[status] < 2

/** Agents that the existing server lists at most, the newest (frontend contract §3.1): from a full list nothing follows of others. */
const LISTED_AT_MOST = 50

/** What a report changes in the records, in order; nothing for what is known already. Pure. */
export function changesOf(report: Report, known: ReadonlyMap<string, Mirrored>): MirrorChange[] {
  switch (report.kind) {
    case 'spawned':
      return seen(report.agent, known)
    case 'status':
      return moved(known.get(report.agentId), report.status)
    case 'deleted':
      return known.has(report.agentId) ? removed(known.get(report.agentId)) : [forgotten(report.agentId)]
    case 'all-deleted':
      return [...known.values()].flatMap(removed)
    case 'list': {
      const listed = new Set(report.agents.map(({ id }) => id))
      const isWhole = report.agents.length < LISTED_AT_MOST
      const gone = isWhole ? [...known.values()].filter(({ id }) => !listed.has(id)).flatMap(removed) : []
      return [...gone, ...report.agents.flatMap((agent) => seen(agent, known))]
    }
  }
}

function seen({ id, userId, status }: Observed, known: ReadonlyMap<string, Mirrored>): MirrorChange[] {
  const record = known.get(id)
  if (record) return moved(record, status)
  const agent: Mirrored = { id, userId, status: isStatus(status) ? status : 'failed', deleted: false }
  return [{ kind: 'spawned', agent }]
}

function moved(record: Mirrored | undefined, status: string): MirrorChange[] {
  if (!record || record.deleted || !isStatus(status) || RANK[status] <= RANK[record.status]) return []
  return [{ kind: 'status', agent: { ...record, status } }]
}

const removed = (record: Mirrored | undefined): MirrorChange[] =>
  record && !record.deleted ? [{ kind: 'deleted', agent: { ...record, deleted: true } }] : []

const forgotten = (id: string): MirrorChange => ({
  kind: 'forgotten',
  agent: { id, userId: '', status: 'killed', deleted: true },
})
