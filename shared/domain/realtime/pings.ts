import { PING_SHARDS } from '../../contracts/tables.ts'
import { endSession, logName } from './change-session.ts'
import { PING_CONCURRENCY } from './limits.ts'
import { PING } from './packets.ts'
import { forEachBounded } from './parallel.ts'
import type { DeliveryDeps } from './ports.ts'

export type PingDeps = Pick<DeliveryDeps, 'sessions' | 'poster' | 'clock' | 'sleep' | 'log'>

/**
 * One Engine.IO ping to every open WebSocket: nothing else keeps a client from closing. A ping needs no lease, as it may stand
 * anywhere between other packets. A connection that is gone ends its session; a full one is being read and is pinged next time.
 */
export async function pingConnections(deps: PingDeps): Promise<{ pinged: number; gone: number }> {
  const counts = { pinged: 0, gone: 0 }
  for (let shard = 0; shard < PING_SHARDS; shard++) {
    let cursor: string | undefined
    do {
      const page = await deps.sessions.pingable(shard, cursor)
      await forEachBounded(page.connections, PING_CONCURRENCY, async ({ connectionId, sid }) => {
        const outcome = await deps.poster.post(connectionId, PING)
        if (outcome === 'sent') counts.pinged++
        else if (outcome === 'gone') {
          counts.gone++
          await endSession(sid, deps, { connectionId })
        } else deps.log.warn('Ping not delivered', { sid: logName(sid), outcome })
      })
      cursor = page.cursor
    } while (cursor !== undefined)
  }
  return counts
}
