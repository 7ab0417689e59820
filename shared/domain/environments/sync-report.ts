/** What workspace sync says of the team's repository: what of it is kept, and what of it the team's members are told in the chat. */
import type { SyncReport } from '../../contracts/link.ts'
import type { ChatMessage, ServerEvent } from '../../contracts/socket-events.ts'
import type { Environment, SyncEnvironment } from './schema.ts'

type Sync = SyncEnvironment['sync']
type Trouble = 'failed' | 'unpushed'

/** Milliseconds after which members are told again of trouble of the same kind: a remote that comes and goes must not fill the chat. */
export const TELL_AGAIN_MS = 10 * 60_000

/** UTF-16 units; a list of branches may be long. */
const MAX_TEXT = 1_500

const isTrouble = (state: SyncReport['state']): state is Trouble => state === 'failed' || state === 'unpushed'

/**
 * The record's part with a report; undefined when it says nothing new. Reports are handled side by side, so an older one may come
 * last: only what it has rescued is news then. `now` is when the gateway received it.
 */
export function reported(sync: Sync, report: SyncReport, now: Date): Sync | undefined {
  const at = now.toISOString()
  const { at: since, ...last } = sync.report ?? {}
  if (since !== undefined && since > at)
    return sync.report && report.rescued ? { ...sync, report: { ...sync.report, rescued: report.rescued } } : undefined
  if (JSON.stringify(sorted(last)) === JSON.stringify(sorted(report))) return undefined
  const told = toldAfter(sync, report, now)
  return { ...sync, report: { ...report, at }, ...(told ? { told } : {}) }
}

const sorted = (value: object) => Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))

function toldAfter({ told }: Sync, { state }: SyncReport, now: Date): Sync['told'] {
  if (state === 'synced' && told?.isTrouble) return { ...told, isTrouble: false }
  if (!isTrouble(state)) return told
  const last = told?.[state]
  if (last !== undefined && now.getTime() - Date.parse(last) < TELL_AGAIN_MS) return told
  return { ...told, [state]: now.toISOString(), isTrouble: true }
}

/** The chat message that goes with a report that was just kept, when there is something that members should know. */
export function saidOf(before: Environment, { sync, teamId, id, revision, updatedAt }: SyncEnvironment) {
  const { report, told } = sync
  if (!report || before.type !== 'sync') return undefined
  const isNews = JSON.stringify(before.sync.told) !== JSON.stringify(told)
  const text = [...(report.rescued?.length ? [rescued(report.rescued)] : []), ...(isNews ? [stateOf(report)] : [])]
  if (text.length === 0) return undefined
  return chatMessage(`${id}-${revision}`, teamId, text.join(' ').slice(0, MAX_TEXT), updatedAt)
}

const rescued = (branches: readonly string[]): string =>
  `Some work could not be merged. Nothing is lost: it is on ${branches.length === 1 ? 'the branch' : 'the branches'} ${branches.join(', ')}.`

function stateOf({ state, detail }: SyncReport): string {
  const why = detail ? `: ${detail}` : '.'
  if (state === 'failed') return `The workspace cannot be synchronized with the repository${why}`
  if (state === 'unpushed') return `What is committed in the workspace is not in the repository yet${why}`
  return 'The workspace is in the repository again.'
}

function chatMessage(id: string, teamId: string, text: string, at: string): ServerEvent {
  const message: ChatMessage = {
    id,
    userId: 'workspace-sync',
    teamId,
    user: { userName: 'Workspace sync' },
    userName: 'Workspace sync',
    content: text,
    message: text,
    createdAt: at,
    timestamp: at,
  }
  return ['chat-message', message]
}
