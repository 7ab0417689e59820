/** A preview's record as the gateway sees it. */
import type { PreviewDirectoryItem } from '../../contracts/previews.ts'
import { previewReason } from '../environments/preview-state.ts'
import type { PreviewEnvironment } from '../environments/schema.ts'

type Item = Omit<PreviewDirectoryItem, 'lastVisitAt'>

/** UTF-16 units; the schema's bound. */
const MAX_REASON = 2_000

export function directoryItemOf(record: PreviewEnvironment): Item {
  const { teamId, id, status, restart, preview } = record
  const { branch, address, port, report, isIdle, isPublic } = preview
  // What stops in order to start again is, for a visitor, on its way.
  const isRestarting = status === 'stopping' && restart !== undefined
  const reason = previewReason(record)?.slice(0, MAX_REASON)
  return {
    teamId,
    branch,
    environmentId: id,
    status: isRestarting ? 'starting' : status,
    idle: isIdle === true,
    public: isPublic,
    ...(address === undefined || isRestarting ? {} : { address }),
    ...(port === undefined ? {} : { port }),
    ...(report === undefined || report.phase === 'ready' ? {} : { phase: report.phase }),
    ...(reason ? { reason } : {}),
    ...(report?.lastLines?.length ? { lastLines: report.lastLines } : {}),
  }
}
