/** The record of a preview: one per team and branch. */
import { v5 as uuidv5 } from 'uuid'
import { DEFAULT_TASK_SIZE } from '../../contracts/limits.ts'
import type { PreviewBranch } from '../../contracts/preview-link.ts'
import type { Change } from '../environments/ports.ts'
import type { PreviewEnvironment } from '../environments/schema.ts'

/** Of which team and incarnation something is. */
export interface PreviewOwner {
  readonly teamId: string
  readonly incarnation: string
}

/** Derived, so that making it twice is one record; from the incarnation, so that no later one has the same client tokens. */
export const previewIdOf = ({ teamId, incarnation }: PreviewOwner, branch: PreviewBranch): string =>
  uuidv5(`${teamId}/preview/${branch}`, incarnation)

export function newPreviewRecord(
  team: PreviewOwner & { readonly repositoryUrl: string | null },
  preview: Pick<PreviewEnvironment['preview'], 'branch' | 'label' | 'isPublic'>,
  { at, by, correlationId }: { at: string; by: PreviewEnvironment['createdBy']; correlationId: string },
): PreviewEnvironment {
  const { teamId, repositoryUrl } = team
  return {
    teamId,
    id: previewIdOf(team, preview.branch),
    type: 'preview',
    name: `covibes_preview_${teamId}_${preview.branch}`,
    backend: 'docker',
    status: 'requested',
    generation: 1,
    attempt: 1,
    revision: 1,
    createdAt: at,
    updatedAt: at,
    createdBy: by,
    preview,
    repositoryUrl,
    size: DEFAULT_TASK_SIZE.preview,
    correlationId,
  }
}

export const previewRequested = (record: PreviewEnvironment): Change['entry'] => ({
  at: record.createdAt,
  actor: { kind: 'member', userId: record.createdBy.userId },
  cause: 'preview-requested',
  correlationId: record.correlationId,
  // As with every later change, of the frontend's own branch only.
  ...(record.preview.branch === 'workspace'
    ? { event: ['preview-status-update', { branch: 'workspace', status: 'starting' }] }
    : {}),
})
