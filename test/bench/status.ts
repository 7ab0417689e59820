/**
 * From an ECS event to the `agent-status` frame at each of a team's connections, and a plain server's emit to the same clients.
 * Clients are raw WebSockets (test/load/raw-socket.ts): a thousand real ones in this process would be what is measured.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { inTurns, RawSocket } from '../load/raw-socket.ts'
import { type TaskEvent, TaskEventSchema } from '../load/task-event.ts'
import type { Product } from '../support/product.ts'
import { COST_HEAD, type CostMeter, costRow, NO_COST, plus } from './cost.ts'
import { startPlainServer } from './plain-socket-io.ts'
import { ms, printTable, sample } from './statistics.ts'

/** Agents whose two events (running, ended) are measured; each spawn, too, is told to every connection. */
const SIZES = [
  { connections: 1, agents: 10 },
  { connections: 100, agents: 5 },
  { connections: 1000, agents: 2 },
] as const
interface Size {
  readonly connections: number
  readonly agents: number
}
/** What ECS tells of a task's life, and the status that members are told. */
const CHANGES = [
  ['running', { lastStatus: 'RUNNING', startedAt: '2026-01-02T03:04:05.000Z' }, {}],
  [
    'completed',
    { lastStatus: 'STOPPED', desiredStatus: 'STOPPED', stopCode: 'EssentialContainerExited' },
    { exitCode: 0 },
  ],
] as const
/** Milliseconds without a call to AWS and without an end of an invocation after which nothing more is expected. */
const QUIET_MS = 1_000
const JOINS_AT_ONCE = 8
/** Milliseconds from a spawn's answer to the task's first event. */
const KNOWN_MS = 60_000
/** Milliseconds for publisher and queue to tell everybody: three budgets of a share (limits.ts, SHARE_BUDGET_MS). */
const PUBLISHED_MS = 30_000
const SWEEPS = 10

/** ECS's events of tasks that stay in PROVISIONING, from which their later ones are made; `observe` is for `onTraffic`. */
export class TaskEvents {
  readonly #byAgent = new Map<string, TaskEvent>()
  readonly #waiting = new Map<string, () => void>()

  observe = (where: string, content: string): void => {
    if (where !== 'event') return
    const event = TaskEventSchema.parse(JSON.parse(content))
    const agentId = event.detail.startedBy.split('/')[1] ?? ''
    this.#byAgent.set(agentId, event)
    this.#waiting.get(agentId)?.()
  }

  /** Resolves when ECS has told of the agent's task for the first time. Rejects when it does not within `KNOWN_MS`. */
  async known(agentId: string): Promise<void> {
    if (this.#byAgent.has(agentId)) return
    await new Promise<void>((resolve, reject) => {
      const late = () => reject(new Error(`ECS told of no task of agent ${agentId} within ${KNOWN_MS} ms`))
      const timer = setTimeout(late, KNOWN_MS)
      this.#waiting.set(agentId, () => {
        clearTimeout(timer)
        resolve()
      })
    })
    this.#waiting.delete(agentId)
  }

  /** The next event of the agent's task, with the fields that ECS would change. */
  next(agentId: string, fields: Record<string, unknown>, container: Record<string, unknown> = {}): TaskEvent {
    const before = this.#byAgent.get(agentId)
    if (!before) throw new Error(`ECS has told nothing of agent ${agentId}`)
    const { detail } = before
    const containers = detail.containers.map((each) => ({ ...each, ...container }))
    const version = detail.version + 1
    const event = { ...before, id: crypto.randomUUID(), detail: { ...detail, ...fields, containers, version } }
    this.#byAgent.set(agentId, event)
    return event
  }
}

interface Told {
  /** Milliseconds to each connection, of those told before any sweep. */
  readonly delays: number[]
  readonly swept: number
}

/** Sends one event and waits until every socket has it; `sweep` is called when nothing more will come without it. */
async function tell(
  sockets: readonly RawSocket[],
  { agentId, status }: { agentId: string; status: string },
  send: () => void,
  sweep: () => Promise<void>,
): Promise<Told> {
  const delays: number[] = []
  let told = 0
  let isSweeping = false
  const { promise: all, resolve } = Promise.withResolvers<void>()
  const startedAt = performance.now()
  const offs = sockets.map((socket) =>
    socket.on((name, payload) => {
      if (name !== 'agent-status' || payload.agentId !== agentId || payload.status !== status) return
      if (!isSweeping) delays.push(performance.now() - startedAt)
      if (++told === sockets.length) resolve()
    }),
  )
  send()
  await Promise.race([all, delay(PUBLISHED_MS)])
  isSweeping = true
  for (let sweeps = 0; told < sockets.length; sweeps++) {
    if (sweeps === SWEEPS)
      throw new Error(`${told} of ${sockets.length} sockets were told ${status} after ${sweeps} sweeps`)
    await sweep()
  }
  for (const off of offs) off()
  return { delays, swept: sockets.length - delays.length }
}

interface Measured {
  readonly delays: readonly number[]
  readonly last: readonly number[]
  readonly swept: number
  readonly events: number
}

const measuredOf = (told: readonly Told[]): Measured => ({
  delays: told.flatMap(({ delays }) => delays),
  last: told.map(({ delays }) => Math.max(...delays)),
  swept: told.reduce((sum, { swept }) => sum + swept, 0),
  events: told.length,
})

async function throughProduct({ runtime, ...product }: Product, bench: Bench, { connections, agents }: Size) {
  const member = await product.member()
  const startedAt = performance.now()
  const sockets = await inTurns(connections, JOINS_AT_ONCE, () => RawSocket.join(product.url, member))
  const joinMs = (performance.now() - startedAt) / connections
  const sweep = async () => void (await runtime.lambda.invoke(runtime.functionOf('sweep-outbox').arn, {}))
  const told: Told[] = []
  let cost = NO_COST
  for (let n = 0; n < agents; n++) {
    const { id: agentId } = await member.spawn('')
    await bench.taskEvents.known(agentId)
    for (const [status, fields, container] of CHANGES) {
      // The event before has been dealt with to the end, so that neither time nor cost of it is counted here.
      await handled(runtime, bench.meter)
      const event = bench.taskEvents.next(agentId, fields, container)
      const before = bench.meter.read(runtime)
      told.push(await tell(sockets, { agentId, status }, () => runtime.eventBridge.putServiceEvent(event), sweep))
      await handled(runtime, bench.meter)
      cost = plus(cost, before, bench.meter.read(runtime))
    }
  }
  for (const socket of sockets) socket.close()
  return { ...measuredOf(told), cost, joinMs }
}

/** Resolves when nothing that a change has set off is under way any more: nobody has asked AWS for anything for `QUIET_MS`. */
async function handled(runtime: Product['runtime'], meter: CostMeter): Promise<void> {
  await runtime.eventBridge.idle()
  const asked = () => Object.values(meter.read(runtime)).reduce((sum, value) => sum + value, 0)
  for (let before = -1, now = asked(); now !== before; ) {
    before = now
    await delay(QUIET_MS)
    now = asked()
  }
}

async function throughPlainServer(connections: number, events: number): Promise<Measured> {
  const server = await startPlainServer()
  const member = { teamId: 'plain', token: '' }
  const sockets = await inTurns(connections, JOINS_AT_ONCE, () => RawSocket.join(server.url, member))
  const told: Told[] = []
  for (let n = 0; n < events; n++) {
    const payload = { agentId: `plain-${n}`, status: 'running', timestamp: new Date().toISOString() }
    told.push(
      await tell(
        sockets,
        payload,
        () => server.tellTeam('agent-status', payload),
        () => Promise.resolve(),
      ),
    )
  }
  for (const socket of sockets) socket.close()
  await server.close()
  return measuredOf(told)
}

export interface Bench {
  readonly meter: CostMeter
  readonly taskEvents: TaskEvents
}

export async function benchStatus(product: Product, bench: Bench, connections?: number): Promise<void> {
  const rows = [
    ['connections', 'events', 'p50', 'p99', 'last', 'left to the sweep', 'plain p50', 'plain last', 'a join'],
  ]
  const costs = [['connections', ...COST_HEAD]]
  product.runtime.faults.start.add({ kind: 'stay' })
  for (const size of connections === undefined ? SIZES : [{ connections, agents: 2 }]) {
    const ours = await throughProduct(product, bench, size)
    const plain = await throughPlainServer(size.connections, ours.events)
    const [all, last, peer] = [sample(ours.delays), sample(ours.last), sample(plain.delays)]
    rows.push([
      String(size.connections),
      String(ours.events),
      ms(all.p50),
      ms(all.p99),
      ms(last.p50),
      `${((100 * ours.swept) / (size.connections * ours.events)).toFixed(0)} %`,
      ms(peer.p50),
      ms(sample(plain.last).p50),
      ms(ours.joinMs),
    ])
    costs.push([String(size.connections), ...costRow(ours.cost, ours.events)])
  }
  product.runtime.faults.reset()
  printTable(
    'status: ECS event to agent-status frame, per connection; last: the last connection, median of the events',
    rows,
  )
  printTable('status: asked of AWS for 1,000 status events', costs)
}
