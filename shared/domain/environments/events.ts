/** What can happen to a record, and who makes it happen. What each does to it stands in `state-machine.ts`. */

import type { SyncReport } from '../../contracts/link.ts'
import type { PreviewReport } from '../../contracts/preview-link.ts'
import type { Actor } from '../ledger/schema.ts'
import type { ObservedTask } from './task-end.ts'

type Member = { readonly userId: string }

export type EnvironmentEvent =
  /** The start worker is about to call RunTask for the current attempt. */
  | { readonly type: 'start-claimed'; readonly ticketHash: string }
  | { readonly type: 'task-accepted'; readonly taskArn: string }
  /** Something that the task needs is not there yet; it is tried again. */
  | { readonly type: 'start-delayed'; readonly reason: string }
  /** A definite no of ECS: no task exists. `retry`: a later attempt may be answered otherwise. */
  | { readonly type: 'start-refused'; readonly attempt: number; readonly reason: string; readonly retry: boolean }
  /** The start is given up without a definite answer; a task that exists after all is an orphan. */
  | { readonly type: 'start-abandoned'; readonly reason: string }
  | { readonly type: 'task-observed'; readonly task: ObservedTask }
  /** ECS does not know the record's task (any more). */
  | { readonly type: 'task-vanished'; readonly reason: string }
  | { readonly type: 'stop-requested'; readonly member: Member }
  | { readonly type: 'delete-requested'; readonly member: Member }
  /** `slots`: how many live records of its type the team may have, for one that has ended and needs a lease again; absent: any. */
  | { readonly type: 'restart-requested'; readonly member: Member; readonly slots?: number }
  /** The control plane ends it (`isIdle`: a preview that a visit starts again), begins it anew (it failed), or takes it away (its team goes): `reason` for a person. */
  | { readonly type: 'stop-ordered'; readonly reason: string; readonly isIdle?: boolean }
  | { readonly type: 'start-ordered' }
  | { readonly type: 'delete-ordered'; readonly reason: string }
  | { readonly type: 'stop-failed'; readonly reason: string }
  | { readonly type: 'ticket-used'; readonly keyHash: string }
  | {
      readonly type: 'exit-reported'
      readonly exit: {
        readonly exitCode: number
        readonly signal?: string | undefined
        readonly reason?: string | undefined
      }
    }
  | { readonly type: 'health-reported'; readonly status: 'healthy' | 'unhealthy'; readonly detail?: string | undefined }
  /** `at`: when the gateway received it; absent: now. */
  | { readonly type: 'sync-reported'; readonly report: SyncReport; readonly at?: Date }
  | { readonly type: 'preview-reported'; readonly report: PreviewReport; readonly at?: Date }
  /** A preview that is stopped for idleness is visited. */
  | { readonly type: 'wake-ordered' }
  /** Whether others than members may look at a preview. */
  | { readonly type: 'visibility-set'; readonly member: Member; readonly isPublic: boolean }
export type EnvironmentEventType = EnvironmentEvent['type']

const ACTORS: Readonly<Record<EnvironmentEventType, Exclude<Actor['kind'], 'member'> | 'member'>> = {
  'start-claimed': 'control-plane',
  'task-accepted': 'control-plane',
  'start-delayed': 'control-plane',
  'start-refused': 'platform',
  'start-abandoned': 'control-plane',
  'task-observed': 'platform',
  'task-vanished': 'control-plane',
  'stop-requested': 'member',
  'delete-requested': 'member',
  'restart-requested': 'member',
  'stop-ordered': 'control-plane',
  'start-ordered': 'control-plane',
  'delete-ordered': 'control-plane',
  'stop-failed': 'control-plane',
  'ticket-used': 'container',
  'exit-reported': 'container',
  'health-reported': 'container',
  'sync-reported': 'container',
  'preview-reported': 'container',
  'wake-ordered': 'control-plane',
  'visibility-set': 'member',
}

/** Who the ledger says has done it. */
export function actorOf(event: EnvironmentEvent): Actor {
  const kind = ACTORS[event.type]
  return kind === 'member' ? { kind, userId: 'member' in event ? event.member.userId : '' } : { kind }
}
