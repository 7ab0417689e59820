/** One control plane in virtual time, and a few words to drive it with. */

import { type Mode, SimulatedClient } from './simulated-client.ts'
import { SimulatedContainer } from './simulated-container.ts'
import { SimulatedGateway } from './simulated-gateway.ts'
import { seededRandom, VirtualTime } from './virtual-time.ts'

export const TEAM = 'team-1'
/** Virtual milliseconds that anything in these tests may take. */
const PATIENCE_MS = 5 * 60_000

export function createBench(seed = 1) {
  const random = seededRandom(seed)
  const time = new VirtualTime()
  const gateway = new SimulatedGateway(time, random)
  const { world } = gateway

  const until = (isDone: () => boolean, what: string) => time.until(isDone, what, PATIENCE_MS)

  /** The outcome of a handler, with the time it takes. */
  async function run<T>(start: () => Promise<T>): Promise<T> {
    let settled: { value: T } | { error: unknown } | undefined
    start().then(
      (value) => {
        settled = { value }
      },
      (error: unknown) => {
        settled = { error }
      },
    )
    await until(() => settled !== undefined, 'the call to end')
    if (settled && 'value' in settled) return settled.value
    throw settled?.error
  }

  const client = (mode: Mode, options: { token?: string; agents?: readonly string[] } = {}): SimulatedClient =>
    new SimulatedClient(gateway, time, random, { mode, token: `user-1@${TEAM}`, ...options })

  /** A client that has joined its team. */
  async function joined(...args: Parameters<typeof client>): Promise<SimulatedClient> {
    const joining = client(...args)
    joining.start()
    const replies = 1 + (args[1]?.agents?.length ?? 0)
    await until(() => joining.replies.length >= replies, 'the client to have joined')
    return joining
  }

  async function container(id = 'agent-1', generation = 1): Promise<SimulatedContainer> {
    const starting = new SimulatedContainer(gateway, time, { teamId: TEAM, id, generation })
    void starting.start()
    const isLinked = () => world.links.links.get(`${TEAM}/${id}`)?.connectionId !== undefined
    await until(
      () => (starting.sizes.length > 0 && isLinked()) || starting.dismissed !== undefined,
      'the container to be linked',
    )
    return starting
  }

  return { time, gateway, world, deps: world.deps, run, until, client, joined, container }
}
export type Bench = ReturnType<typeof createBench>
