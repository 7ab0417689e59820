/** What previews want of workspace sync while it runs. When it does not, its next welcome says the same. */
import type { LinkDown } from '../../contracts/link.ts'
import type { EnvironmentStore } from '../environments/ports.ts'
import { postToLink } from '../realtime/link-input.ts'
import type { InputDeps } from '../realtime/ports.ts'
import type { Owner } from '../teams/ports.ts'
import { syncIdOf } from '../teams/sync-record.ts'
import { previewTrees } from './trees.ts'

export interface TellSyncDeps extends Pick<InputDeps, 'links' | 'poster' | 'sleep'> {
  readonly environments: Pick<EnvironmentStore, 'get'>
  readonly warn: (message: string, fields: Record<string, unknown>) => void
}

/** The branches that have previews now. */
export const tellTrees = async (team: Owner, deps: TellSyncDeps): Promise<void> =>
  tell(team, { type: 'preview-branches', branches: await previewTrees(team, deps) }, deps)

/** A member waits for what is at the remote. */
export const askForRound = (team: Owner, deps: TellSyncDeps): Promise<void> => tell(team, { type: 'sync-now' }, deps)

async function tell(team: Owner, message: LinkDown, deps: TellSyncDeps): Promise<void> {
  const { teamId } = team
  try {
    const link = await deps.links.get({ teamId, id: syncIdOf(team) })
    if (link?.connectionId === undefined) return
    const outcome = await postToLink(link.connectionId, message, deps)
    if (outcome !== 'sent') deps.warn('Workspace sync not told', { teamId, type: message.type, outcome })
  } catch (error) {
    // What was asked for is done all the same.
    deps.warn('Workspace sync not told', { teamId, type: message.type, error })
  }
}
