import { createHash } from 'node:crypto'
import { createServer } from 'node:net'
import type { TaskAddresses } from './backend.ts'

function canListenOn(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(0, address, () => server.close(() => resolve(true)))
  })
}

/**
 * 65,000 addresses `127.x.y.z`, where x comes from `seed` (the state folder), so that two runtimes on one machine rarely meet.
 * Linux answers on all of 127.0.0.0/8; where only 127.0.0.1 exists (macOS), every task gets that one and two tasks
 * cannot listen on the same port.
 */
export async function createLoopbackAddresses(seed: string): Promise<TaskAddresses> {
  const digest = createHash('sha256').update(seed).digest()
  const network = 16 + ((digest[0] as number) % 224)
  const address = (index: number) => `127.${network}.${Math.floor(index / 254)}.${1 + (index % 254)}`
  const size = 256 * 254
  const taken = new Set<string>()
  if (!(await canListenOn(address(1)))) return { allocate: () => '127.0.0.1', release: () => {} }
  let next = ((digest[1] as number) << 8) | (digest[2] as number)
  return {
    allocate() {
      for (let tried = 0; tried < size; tried += 1) {
        // Onward from the last: an address just released may still have connections in TIME_WAIT.
        next = (next + 1) % size
        const candidate = address(next)
        if (taken.has(candidate)) continue
        taken.add(candidate)
        return candidate
      }
      throw new Error(`All ${size} loopback addresses are taken by tasks`)
    },
    release: (released) => void taken.delete(released),
  }
}
