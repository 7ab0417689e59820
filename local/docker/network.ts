import type { TaskAddresses } from '../ecs/backend.ts'
import { createLoopbackAddresses } from '../ecs/loopback.ts'
import { type Engine, EngineError } from './engine-api.ts'
import { createHostRelays } from './host-relay.ts'
import type { Labels } from './labels.ts'

/** How containers are connected: a network of their own, or this machine's. */
export type NetworkMode = 'bridge' | 'host'

/** What containers are connected to. */
export interface TaskNetwork {
  /** For `HostConfig.NetworkMode`. */
  readonly name: string
  readonly addresses: TaskAddresses
  /** Containers share this machine's network: a task listens on its own loopback address only. */
  readonly isHost: boolean
  /** A text with addresses of this machine's loopback as containers reach them. */
  reach(text: string): Promise<string>
  /** Ends what serves the network on this machine; the network itself is removed with all else in the engine. */
  close(): Promise<void>
}

/** Subnets that are tried until one is free. */
const TRIES = 64

/**
 * Connects the containers of one runtime. `bridge`: a network with a /24 of its own, in which each task has its address and
 * reaches of this machine only what it is told to (see `createHostRelays`). `host`: everything on this machine is within reach.
 */
export async function createTaskNetwork(
  engine: Engine,
  options: { readonly mode: NetworkMode; readonly stateDir: string; readonly labels: Labels },
): Promise<TaskNetwork> {
  const { mode, stateDir, labels } = options
  if (mode === 'host')
    return {
      name: 'host',
      addresses: await createLoopbackAddresses(stateDir),
      isHost: true,
      reach: async (text) => text,
      close: async () => {},
    }
  const name = `covibes-${labels.runtime}`
  const prefix = await createNetwork(engine, name, labels)
  const relays = createHostRelays(`${prefix}.1`)
  return {
    name,
    addresses: subnetAddresses(prefix),
    isHost: false,
    reach: relays.reach,
    close: relays.close,
  }
}

/** Creates the network in the first free subnet; gives back its first three numbers. */
async function createNetwork(engine: Engine, name: string, labels: Labels): Promise<string> {
  const seed = Number.parseInt(labels.runtime.slice(0, 4), 16)
  for (let tried = 0; tried < TRIES; tried += 1) {
    const at = (seed + tried) % (64 * 256)
    const prefix = `10.${160 + Math.floor(at / 256)}.${at % 256}`
    try {
      await engine.call('POST', '/networks/create', {
        body: {
          Name: name,
          CheckDuplicate: true,
          Driver: 'bridge',
          // Where the engine keeps a firewall, one team's containers do not reach another's.
          Options: { 'com.docker.network.bridge.enable_icc': 'false' },
          IPAM: { Config: [{ Subnet: `${prefix}.0/24`, Gateway: `${prefix}.1` }] },
          Labels: labels.all(),
        },
      })
      return prefix
    } catch (error) {
      if (!(error instanceof EngineError) || !/overlap/i.test(error.message)) throw error
    }
  }
  throw new Error(`None of ${TRIES} subnets for the network ${name} is free`)
}

/** The addresses 2 to 254 of a /24; 1 is the gateway. */
function subnetAddresses(prefix: string): TaskAddresses {
  const taken = new Set<number>()
  let last = 1
  return {
    allocate() {
      for (let tried = 0; tried < 253; tried += 1) {
        // Onward from the last, so that an address rests after its task.
        last = last >= 254 ? 2 : last + 1
        if (taken.has(last)) continue
        taken.add(last)
        return `${prefix}.${last}`
      }
      throw new Error(`All addresses of ${prefix}.0/24 are taken by tasks`)
    },
    release: (address) => void taken.delete(Number(address.slice(prefix.length + 1))),
  }
}
