/** Queued work of the delivery module, for the queue's one consumer. */
import type { Work } from '../../contracts/work.ts'
import { EVERYTHING } from './batch.ts'
import { deliver } from './deliver.ts'
import { openSocket } from './engine.ts'
import type { DeliveryDeps } from './ports.ts'

export type RealtimeWork = Extract<Work, { kind: 'open-socket' | 'deliver' }>

/** May run more than once for one message. Throws what is to be tried again. */
export async function onRealtimeWork(work: RealtimeWork, deps: DeliveryDeps): Promise<void> {
  if (work.kind === 'open-socket') return openSocket(work, deps)
  await deliver(work.sid, EVERYTHING, deps, { retry: true })
}
