/**
 * Once a minute, after tasks and records are in line: previews that nobody visits stop, workspace sync runs where agents or previews do,
 * and stops where nobody is; removals that were lost on the way go on.
 */
import { TEAM_IDLE_MS } from '../../contracts/limits.ts'
import { orderWork, sendEvent } from '../environments/operations.ts'
import { liveRecords } from '../environments/reconcile.ts'
import type { Environment, SyncEnvironment } from '../environments/schema.ts'
import { isFinal } from '../environments/transitions.ts'
import type { LedgerReader } from '../ledger/ports.ts'
import { type IdleDeps, stopIdlePreviews } from '../previews/idle.ts'
import { isRestartDue } from './back-off.ts'
import type { TeamStore } from './ports.ts'
import { newSyncRecord, syncIdOf, syncRequested } from './sync-record.ts'

export interface TendDeps extends IdleDeps {
  readonly teams: TeamStore
  readonly ledger: LedgerReader
}
export interface Tended {
  readonly started: number
  readonly stopped: number
  readonly removals: number
  /** Previews that were stopped for idleness. */
  readonly idle: number
}

/** Newest entries of a team's ledger that are looked through for an agent's. */
const ENTRIES = 100
/** Milliseconds after which a step of a removal that was due counts as lost. */
const LOST_MS = 60_000

const CORRELATION_ID = 'reconcile'
const IDLE_REASON = `stopped because nobody used it for ${TEAM_IDLE_MS / 60_000} minutes; it starts again by itself`

/** One team's trouble does not keep the others waiting. @throws AggregateError after all of them were looked at. */
export async function tendTeams(deps: TendDeps): Promise<Tended> {
  const counts = { started: 0, stopped: 0, removals: 0, idle: 0 }
  const errors: unknown[] = []
  const attempt = async (what: () => Promise<void>) => {
    try {
      await what()
    } catch (error) {
      errors.push(error)
    }
  }
  const live = await liveRecords(deps)
  await attempt(async () => {
    counts.idle = await stopIdlePreviews(live, deps)
  })
  const byTeam = Map.groupBy(live, ({ teamId }) => teamId)
  for (const [teamId, records] of byTeam)
    await attempt(async () => {
      const syncs = records.filter((record) => record.type === 'sync')
      const others = records.filter((record) => record.type !== 'sync')
      const isAlive = syncs.some(({ sync }) => sync.purpose === 'sync')
      if (others.some(isWanted) && !isAlive) counts.started += await startSync(teamId, deps)
      if (others.length === 0) for (const sync of syncs) counts.stopped += await stopIfIdle(sync, deps)
    })
  await attempt(async () => {
    counts.removals = await resumeRemovals(deps)
  })
  if (errors.length > 0) throw new AggregateError(errors, `${errors.length} teams could not be looked after`)
  return counts
}

const isWanted = ({ status, restart, deletedAt }: Environment): boolean =>
  deletedAt === undefined && (status !== 'stopping' || restart !== undefined)

async function startSync(teamId: string, deps: TendDeps): Promise<number> {
  const team = await deps.teams.get(teamId)
  if (team?.status !== 'active') return 0
  const now = deps.clock.now()
  const found = await deps.environments.get({ teamId, id: syncIdOf(team) })
  if (!found) {
    const at = now.toISOString()
    const record = newSyncRecord(team, 'sync', { at, by: team.createdBy, correlationId: CORRELATION_ID })
    const made = await deps.environments.create({ record, entry: syncRequested(record, { kind: 'control-plane' }) })
    if (made.outcome !== 'created') return 0
    await Promise.all([orderWork(made.record, CORRELATION_ID, deps), deps.publish([made.entry])])
    return 1
  }
  if (!isFinal(found.status) || !isRestartDue(found, now)) return 0
  const done = await sendEvent(found, { type: 'start-ordered' }, CORRELATION_ID, deps)
  if (!done?.entry) return 0
  await orderWork(done.record, CORRELATION_ID, deps)
  return 1
}

async function stopIfIdle(record: SyncEnvironment, deps: TendDeps): Promise<number> {
  const { teamId } = record
  if (record.sync.purpose !== 'sync' || record.status === 'stopping') return 0
  const team = await deps.teams.get(teamId)
  // What is being removed is the removal's to stop.
  if (team?.status === 'removing') return 0
  const reason = team ? IDLE_REASON : "its team's environment is gone"
  const since = deps.clock.now().getTime() - TEAM_IDLE_MS
  if (team && (Date.parse(team.lastUsedAt) > since || (await agentsWorkedSince(teamId, since, deps)))) return 0
  const done = await sendEvent(record, { type: 'stop-ordered', reason }, CORRELATION_ID, deps)
  if (!done?.entry) return 0
  await orderWork(done.record, CORRELATION_ID, deps)
  return 1
}

/** Also agents that were deleted when they had ended: their rows are gone, their entries are not. */
async function agentsWorkedSince(teamId: string, since: number, { ledger }: TendDeps): Promise<boolean> {
  const head = await ledger.head(teamId)
  const entries = await ledger.readAfter(teamId, Math.max(0, head - ENTRIES), ENTRIES)
  return entries.some(
    ({ at, environment }) => environment !== undefined && environment.type !== 'sync' && Date.parse(at) > since,
  )
}

async function resumeRemovals({ teams, queue, clock }: TendDeps): Promise<number> {
  const now = clock.now().getTime()
  let resumed = 0
  let cursor: string | undefined
  do {
    const page = await teams.listRemoving(cursor === undefined ? {} : { cursor })
    for (const { teamId, incarnation, removal } of page.teams) {
      // One that was given up waits for somebody to ask again.
      if (!removal || Date.parse(removal.deadline) < now || Date.parse(removal.nextStepAt) > now - LOST_MS) continue
      await queue.send({ kind: 'remove-team', teamId, incarnation, correlationId: removal.correlationId })
      resumed++
    }
    cursor = page.cursor
  } while (cursor !== undefined)
  return resumed
}
