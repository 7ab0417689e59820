/** Previews as members ask for them. Each may be repeated; what takes longer than an answer may is left to the queue. */
import type { PreviewBranch } from '../../contracts/preview-link.ts'
import type { WakePreview } from '../../contracts/previews.ts'
import type { Member } from '../agents/ports.ts'
import type { EnvironmentEvent } from '../environments/events.ts'
import { orderWork, sendEvent } from '../environments/operations.ts'
import { isIdle } from '../environments/preview-state.ts'
import { expectType, type PreviewEnvironment } from '../environments/schema.ts'
import { isFinal } from '../environments/transitions.ts'
import { Conflict, Unavailable } from '../errors.ts'
import type { Profiles } from '../profiles/ports.ts'
import { ensureTeamEnvironment, type TeamDeps, type TeamRequest, wakeTeam } from '../teams/operations.ts'
import { checkRepository, teamRepository } from '../teams/repository.ts'
import type { TeamEnvironment } from '../teams/schema.ts'
import { newPreviewRecord, previewIdOf, previewRequested } from './record.ts'
import { newPreviewLabel } from './signatures.ts'
import { type TellSyncDeps, tellTrees } from './tell-sync.ts'
import { findPreview } from './view.ts'

export interface PreviewDeps extends TeamDeps, Omit<TellSyncDeps, 'environments' | 'warn'> {}
export interface StartPreviewDeps extends PreviewDeps {
  readonly profiles: Profiles
  /** Whether repositories on this machine's own addresses are allowed: the one-machine runtime. */
  readonly allowLoopbackRepositories: boolean
}

export interface StartRequest {
  readonly branch: PreviewBranch
  readonly member: Member
  readonly correlationId: string
  /** Absent: as it is; at first members only. */
  readonly isPublic?: boolean | undefined
}

/**
 * The preview of a branch, running or on its way, with the team's environment and its workspace sync. One that has ended, for whatever
 * reason, begins anew. Costs a few reads when everything runs.
 *
 * @throws BadRequest for a repository that cannot be used, Conflict while the environment is being removed, Unavailable when all ports
 * are taken.
 */
export async function createPreview(request: StartRequest, deps: StartPreviewDeps): Promise<PreviewEnvironment> {
  const { team, asked, record } = await ensured(request, deps)
  const isEnding = record.status === 'stopping' && !record.restart
  const running = isFinal(record.status) || isEnding ? await restart(record, asked, deps) : record
  return settled(team, running, request, deps)
}

/** The preview of a branch from its beginning: one that runs is stopped first. @throws as `createPreview`. */
export async function restartPreview(request: StartRequest, deps: StartPreviewDeps): Promise<PreviewEnvironment> {
  const { team, asked, record, isNew } = await ensured(request, deps)
  return settled(team, isNew ? record : await restart(record, asked, deps), request, deps)
}

async function ensured(request: StartRequest, deps: StartPreviewDeps) {
  const { member, correlationId } = request
  const { teamId, userId } = member
  const profile = await deps.profiles.of(member, member.token)
  const repository = teamRepository(null, profile)
  if (repository.url !== null) checkRepository(repository.url, deps.allowLoopbackRepositories)
  const asked = { teamId, by: { userId, userName: profile.userName }, correlationId }
  const { team } = await ensureTeamEnvironment({ ...asked, repository }, deps)
  return { team, asked, ...(await ensureRecord(team, asked, request, deps)) }
}

async function ensureRecord(
  team: TeamEnvironment,
  { teamId, by, correlationId }: TeamRequest,
  { branch, isPublic = false }: StartRequest,
  deps: PreviewDeps,
): Promise<{ record: PreviewEnvironment; isNew: boolean }> {
  const found = await deps.environments.get({ teamId, id: previewIdOf(team, branch) })
  if (found) return { record: expectPresent(expectType(found, 'preview')), isNew: false }
  const preview = { branch, label: newPreviewLabel(branch), isPublic }
  const draft = newPreviewRecord(team, preview, { at: deps.clock.now().toISOString(), by, correlationId })
  const made = await deps.environments.create({ record: draft, entry: previewRequested(draft) })
  if (made.outcome === 'exists') return { record: expectPresent(expectType(made.record, 'preview')), isNew: false }
  if (made.outcome !== 'created') throw new Error(`a record without slot and key was answered with ${made.outcome}`)
  await Promise.all([orderWork(made.record, correlationId, deps), deps.publish([made.entry])])
  await tellIfTree(team, branch, deps)
  return { record: made.record, isNew: true }
}

function expectPresent(record: PreviewEnvironment): PreviewEnvironment {
  if (record.deletedAt === undefined) return record
  throw new Conflict('This preview is being removed; try again when that is done')
}

async function restart(record: PreviewEnvironment, { by, correlationId }: TeamRequest, deps: PreviewDeps) {
  return send(record, { type: 'restart-requested', member: by }, correlationId, deps)
}

/** Visibility, and what sync is to know, after the preview itself. */
async function settled(
  team: TeamEnvironment,
  record: PreviewEnvironment,
  { branch, isPublic, member, correlationId }: StartRequest,
  deps: PreviewDeps,
): Promise<PreviewEnvironment> {
  await tellIfTree(team, branch, deps)
  if (isPublic === undefined || isPublic === record.preview.isPublic) return record
  return send(record, { type: 'visibility-set', member, isPublic }, correlationId, deps)
}

/** Sends an event and orders what it asks for. Answers the record as it is then. */
async function send(
  record: PreviewEnvironment,
  event: EnvironmentEvent,
  correlationId: string,
  deps: PreviewDeps,
): Promise<PreviewEnvironment> {
  const done = await sendEvent(record, event, correlationId, deps)
  if (!done) throw new Conflict('This preview has just been removed; try again')
  if (done.entry) await orderWork(done.record, correlationId, deps)
  return expectType(done.record, 'preview')
}

async function tellIfTree(team: TeamEnvironment, branch: PreviewBranch, deps: PreviewDeps): Promise<void> {
  if (branch !== 'workspace') await tellTrees(team, deps)
}

/** Stops a preview; a visit does not start it again. Undefined: there is none, so that nothing is to be stopped. */
export async function stopPreview(
  { branch, member, correlationId }: { branch: PreviewBranch; member: Omit<Member, 'token'>; correlationId: string },
  deps: PreviewDeps,
): Promise<PreviewEnvironment | undefined> {
  const record = await findPreview(member.teamId, branch, deps)
  if (!record) return undefined
  const stopped = await send(record, { type: 'stop-requested', member }, correlationId, deps)
  const team = branch === 'workspace' ? undefined : await deps.teams.get(member.teamId)
  if (team) await tellTrees(team, deps)
  return stopped
}

/**
 * A visit of a preview that was stopped for idleness, as the gateway tells it: repeated, late and about previews that are no more. The
 * team's workspace sync is woken first. Without a free port nothing happens: the visitor's page asks again.
 */
export async function wakePreview(work: WakePreview, deps: PreviewDeps): Promise<void> {
  const { teamId, environmentId, label, correlationId } = work
  const record = await deps.environments.get({ teamId, id: environmentId })
  if (record?.type !== 'preview' || record.preview.label !== label || !isIdle(record)) return
  const woken = await wakeTeam({ teamId, by: record.createdBy, correlationId }, deps)
  if (!woken || previewIdOf(woken.team, record.preview.branch) !== record.id) return
  try {
    await send(record, { type: 'wake-ordered' }, correlationId, deps)
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error
    deps.warn('Preview not woken', { teamId, environmentId, error })
    return
  }
  await tellIfTree(woken.team, record.preview.branch, deps)
}
