import type { ServerEvent } from '../../contracts/socket-events.ts'
import { REPLIES_ONLY } from './batch.ts'
import { changeAndReply } from './change-session.ts'
import { deliver } from './deliver.ts'
import type { DeliveryDeps } from './ports.ts'

/** One event to this client alone. */
export async function replyWith(sid: string, event: ServerEvent, deps: DeliveryDeps): Promise<void> {
  await changeAndReply(sid, (session) => ({ session, replies: [{ event }] }), deps)
  await deliver(sid, REPLIES_ONLY, deps)
}
