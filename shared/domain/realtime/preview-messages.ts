/** What a client asks of its team's previews: each question has one answer, to this client alone. */
import type { ClientEvent, ServerEvent } from '../../contracts/socket-events.ts'
import { AppError } from '../errors.ts'
import type { Received, SocketDeps } from './ports.ts'
import { replyWith } from './reply.ts'
import type { ConnectedSession } from './session.ts'

/** The frontend says `main` and shows `workspace`: whatever it names, sync looks at the whole repository. */
export const onPreviewRefresh = (
  session: ConnectedSession,
  { branch = 'main' }: ClientEvent<'preview-refresh'>,
  deps: SocketDeps,
): Promise<void> =>
  answer(session, branch, deps, async () => {
    await deps.previews.refresh(session.user)
    return ['preview-updated', { branch, timestamp: deps.clock.now().toISOString() }]
  })

export const onPreviewStatus = (
  session: ConnectedSession,
  { branch }: ClientEvent<'preview-status'>,
  deps: SocketDeps,
): Promise<void> =>
  answer(session, branch, deps, async () => {
    const { user, tokenEndsAt: until = 0 } = session
    return ['preview-status-update', await deps.previews.status({ user, until }, branch)]
  })

export const onPreviewStop = (
  session: ConnectedSession,
  { branch }: ClientEvent<'preview-stop'>,
  { requestId }: Received,
  deps: SocketDeps,
): Promise<void> =>
  answer(session, branch, deps, async () => [
    'preview-status-update',
    await deps.previews.stop(session.user, branch, requestId),
  ])

async function answer(
  { sid }: ConnectedSession,
  branch: string,
  deps: SocketDeps,
  ask: () => Promise<ServerEvent>,
): Promise<void> {
  try {
    await replyWith(sid, await ask(), deps)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    await replyWith(sid, ['preview-error', { branch, error: error.message }], deps)
  }
}
