import { setTimeout as delay } from 'node:timers/promises'
import * as z from 'zod'
import { splitLines } from '../ecs/lines.ts'
import type { HealthStatus } from '../ecs/types.ts'
import type { Engine } from './engine-api.ts'
import type { Labels } from './labels.ts'

/** Tells the health of containers, as the engine's events have it. */
export interface HealthEvents {
  watch(containerId: string, onHealth: (status: HealthStatus) => void): void
  forget(containerId: string): void
  close(): void
}

const EventSchema = z.object({ Action: z.string(), Actor: z.object({ ID: z.string() }) })
const InspectionSchema = z.object({ State: z.object({ Health: z.object({ Status: z.string() }).optional() }) })

/** Between two tries to listen again to an engine that has gone away. */
const RETRY_MS = 1_000

function statusOf(word: string): HealthStatus {
  return word === 'healthy' ? 'HEALTHY' : word === 'unhealthy' ? 'UNHEALTHY' : 'UNKNOWN'
}

/** Listens to one stream of events for all containers of a runtime, from now until `close`. Rejects when there is no engine. */
export async function listenToHealth(engine: Engine, labels: Labels): Promise<HealthEvents> {
  const listeners = new Map<string, (status: HealthStatus) => void>()
  const closing = new AbortController()
  const filters = JSON.stringify({ ...JSON.parse(labels.filter()), type: ['container'], event: ['health_status'] })
  const open = () => engine.stream('GET', '/events', { query: { filters } })
  let stream = await open()
  void listen()

  async function listen(): Promise<void> {
    while (!closing.signal.aborted) {
      const lines = splitLines((line) => {
        const event = EventSchema.safeParse(JSON.parse(line))
        if (event.success)
          listeners.get(event.data.Actor.ID)?.(statusOf(event.data.Action.slice('health_status: '.length)))
        else console.error(`The Docker engine told what is not understood: ${line}`)
      })
      stream.on('data', (chunk: Buffer) => lines.push(chunk))
      await new Promise<void>((resolve) => stream.once('error', () => resolve()).once('close', () => resolve()))
      await reopen()
    }
  }

  /** An engine that comes back has not told what it saw meanwhile, so it is asked. */
  async function reopen(): Promise<void> {
    while (!closing.signal.aborted)
      try {
        await delay(RETRY_MS, undefined, { signal: closing.signal })
        stream = await open()
        await Promise.all([...listeners].map(([id, onHealth]) => ask(id, onHealth)))
        return
      } catch (error) {
        if (closing.signal.aborted) return
        console.error(`The health of containers is not known for now: ${(error as Error).message}`)
      }
  }

  async function ask(id: string, onHealth: (status: HealthStatus) => void): Promise<void> {
    const { State } = InspectionSchema.parse(await engine.call('GET', `/containers/${id}/json`))
    onHealth(statusOf(State.Health?.Status ?? ''))
  }

  return {
    watch: (id, onHealth) => void listeners.set(id, onHealth),
    forget: (id) => void listeners.delete(id),
    close() {
      closing.abort()
      stream.destroy()
    },
  }
}
