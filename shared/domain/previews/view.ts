import { PREVIEW_MODE, type PreviewView, type PreviewViewStatus } from '../../contracts/preview-api.ts'
import type { PreviewBranch, PreviewReport } from '../../contracts/preview-link.ts'
import type { EnvironmentStore } from '../environments/ports.ts'
import { previewReason, previewStatus } from '../environments/preview-state.ts'
import { expectType, type PreviewEnvironment } from '../environments/schema.ts'
import type { TeamStore } from '../teams/ports.ts'
import { sinceOf } from '../teams/view.ts'
import { previewIdOf } from './record.ts'

export interface PreviewReadDeps {
  readonly teams: Pick<TeamStore, 'get'>
  readonly environments: Pick<EnvironmentStore, 'get'>
}

/** The record of a branch's preview; undefined when there is none, or it is being removed. */
export async function findPreview(
  teamId: string,
  branch: PreviewBranch,
  { teams, environments }: PreviewReadDeps,
): Promise<PreviewEnvironment | undefined> {
  const team = await teams.get(teamId)
  const record = team && (await environments.get({ teamId, id: previewIdOf(team, branch) }))
  return record && record.deletedAt === undefined ? expectType(record, 'preview') : undefined
}

/** All previews that a team can have. */
export async function previewsStatus(teamId: string, deps: PreviewReadDeps) {
  const [workspace, main, staging] = await Promise.all(
    (['workspace', 'main', 'staging'] as const).map(async (branch) =>
      previewView(branch, await findPreview(teamId, branch, deps)),
    ),
  )
  if (!workspace || !main || !staging) throw new Error('a branch was lost')
  return { mode: PREVIEW_MODE, workspace, main, staging } as const
}

const VIEW: Readonly<Record<ReturnType<typeof previewStatus>, PreviewViewStatus>> = {
  starting: 'starting',
  running: 'ready',
  idle: 'stopped',
  stopped: 'stopped',
  error: 'error',
}

export const viewStatus = (record: PreviewEnvironment): PreviewViewStatus => VIEW[previewStatus(record)]

const PHASES: Readonly<Record<PreviewReport['phase'], string>> = {
  mirroring: 'The files are being copied',
  installing: 'What the project depends on is being installed',
  starting: 'The development server is starting',
  ready: 'The preview is running',
  failed: 'The development server does not run',
}

const NOT_RUNNING = 'The preview is not running'

/** Where it stands, in a sentence. */
export function previewMessage(record: PreviewEnvironment): string {
  const { status, preview } = record
  const reason = previewReason(record)
  switch (viewStatus(record)) {
    case 'ready':
      return PHASES.ready
    case 'starting':
      if (status === 'running' && preview.report) return PHASES[preview.report.phase]
      return reason ? `The preview is starting: ${reason}` : 'The preview is starting'
    case 'error':
      return reason ? `The preview does not run: ${reason}` : PHASES.failed
    case 'stopped':
    case 'no_repository':
      return reason ? `${NOT_RUNNING}: ${reason}` : NOT_RUNNING
  }
}

export function previewView(branch: PreviewBranch, record: PreviewEnvironment | undefined): PreviewView {
  if (!record)
    return {
      branch,
      status: 'stopped',
      port: null,
      projectType: null,
      command: null,
      message: NOT_RUNNING,
      isPublic: false,
      since: null,
      health: 'unknown',
    }
  const { report, port, isPublic } = record.preview
  return {
    branch,
    status: viewStatus(record),
    port: port ?? null,
    projectType: report?.projectType ?? null,
    command: report?.command ?? null,
    message: previewMessage(record),
    isPublic,
    since: record.status === 'running' && report ? report.at : sinceOf(record),
    health: record.health?.status ?? 'unknown',
  }
}
