/** Previews as the frontend's socket asks for them. */
import type { PreviewBranch } from '../../contracts/preview-link.ts'
import type { ServerEventPayload } from '../../contracts/socket-events.ts'
import { previewReason, previewStatus } from '../environments/preview-state.ts'
import type { PreviewEnvironment } from '../environments/schema.ts'
import type { PreviewEvents } from '../realtime/ports.ts'
import { type AddressDeps, memberUrl } from './addresses.ts'
import { type PreviewDeps, stopPreview } from './operations.ts'
import { askForRound } from './tell-sync.ts'
import { findPreview } from './view.ts'

type Status = ServerEventPayload<'preview-status-update'>

export function previewEvents(deps: PreviewDeps & AddressDeps): PreviewEvents {
  return {
    async refresh({ teamId }) {
      const team = await deps.teams.get(teamId)
      if (team?.status === 'active') await askForRound(team, deps)
    },

    async status({ user, until }, branch) {
      const record = await findPreview(user.teamId, branch, deps)
      const status = statusOf(branch, record)
      if (!record || status.status === 'stopped' || deps.originPattern === undefined) return status
      // A socket outlives the token it was opened with; what it was good for does not.
      if (until <= deps.clock.now().getTime()) return status
      return { ...status, url: await memberUrl(record, { userId: user.userId, until }, deps) }
    },

    async stop(user, branch, correlationId) {
      return statusOf(branch, await stopPreview({ branch, member: user, correlationId }, deps))
    },
  }
}

function statusOf(branch: PreviewBranch, record: PreviewEnvironment | undefined): Status {
  if (!record) return { branch, status: 'stopped' }
  const message = previewReason(record)
  return { branch, status: previewStatus(record), ...(message ? { message } : {}) }
}
