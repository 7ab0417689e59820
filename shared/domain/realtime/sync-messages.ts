/** What only workspace sync says and is told over its link: its orders, its reports, who worked with it, and answers to the files API. */
import { type LinkDown, type LinkUp, SyncReportSchema } from '../../contracts/link.ts'
import type { LinkRef, SyncOrders } from '../environments/links.ts'
import { postToLink } from './link-input.ts'
import type { LinkMessageDeps } from './ports.ts'
import { publishEntries } from './publishing.ts'

export type SyncMessage = Extract<LinkUp, { type: 'sync' | 'ask-authors' | 'answer' }>

/**
 * What sync is to do, with the team's credential for its repository. One that cannot be used is told to the team: without it
 * sync would only say that the repository refuses it.
 */
export async function welcomeOfSync(
  ref: LinkRef,
  { sync: { purpose, previews }, repository }: SyncOrders,
  deps: LinkMessageDeps,
): Promise<Extract<LinkDown, { type: 'welcome-sync' }> | { readonly unusable: string }> {
  const { allowLoopback } = deps
  const needsNone = purpose === 'erase' || repository === undefined
  const found = needsNone ? undefined : await deps.gitCredential(ref.teamId)
  if (found && 'unusable' in found) {
    await publishEntries(
      await deps.recordSyncReport(ref, { state: 'failed', detail: found.unusable }, deps.clock.now()),
      deps,
    )
    return found
  }
  const shown = repository && { repository: { ...repository, ...found } }
  return { type: 'welcome-sync', purpose, ...shown, allowLoopback, previews }
}

/** `unreachable`: sync asked something and cannot be answered over this link. */
export async function onSyncMessage(
  { ref, connectionId }: { readonly ref: LinkRef; readonly connectionId: string },
  message: SyncMessage,
  receivedAt: Date,
  deps: LinkMessageDeps,
): Promise<'done' | 'unreachable'> {
  switch (message.type) {
    case 'sync':
      await publishEntries(await deps.recordSyncReport(ref, SyncReportSchema.parse(message), receivedAt), deps)
      return 'done'
    case 'ask-authors': {
      const authors = await deps.authorsSince(ref.teamId, message.since)
      const outcome = await postToLink(connectionId, { type: 'authors', id: message.id, authors }, deps)
      return outcome === 'sent' ? 'done' : 'unreachable'
    }
    case 'answer': {
      const { id, part, parts, data, encoding } = message
      const answer = { id, part, parts, data, ...(encoding ? { encoding } : {}) }
      if ((await deps.answers.put(ref, answer, deps.clock.now())) === 'unknown')
        deps.log.info('An answer that nobody waits for, dropped', { teamId: ref.teamId, environmentId: ref.id })
      return 'done'
    }
  }
}
