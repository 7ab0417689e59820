import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { pingConnections } from '../../../shared/domain/realtime/pings.ts'
import { sweepOutbox } from '../../../shared/domain/realtime/publishing.ts'
import { SimulatedClient } from './support/simulated-client.ts'
import { SimulatedContainer } from './support/simulated-container.ts'
import { type Faults, NO_FAULTS, SimulatedGateway } from './support/simulated-gateway.ts'
import { seededRandom, VirtualTime } from './support/virtual-time.ts'

/** In every second simulation a share is one session, so that most are told by the queue. */
const limits = vi.hoisted(() => ({ share: 100 }))
vi.mock('../../../shared/domain/realtime/limits.ts', async (original) =>
  Object.defineProperty({ ...(await original<object>()) }, 'SHARE', { get: () => limits.share }),
)

const TEAM = 'team-1'
const AGENTS = ['agent-1', 'agent-2']
const SECOND = 1_000
const MINUTE = 60 * SECOND

beforeEach(() => {
  vi.spyOn(Math, 'random')
})
afterEach(() => {
  vi.restoreAllMocks()
})

async function simulate(seed: number, faults: Faults) {
  limits.share = seed % 2 === 0 ? 1 : 100
  const random = seededRandom(seed)
  vi.mocked(Math.random).mockImplementation(random)
  const time = new VirtualTime()
  const gateway = new SimulatedGateway(time, random)
  const { world } = gateway
  for (const id of AGENTS) world.addAgent({ id })
  const client = (mode: 'polling' | 'upgrade' | 'websocket', agents = AGENTS) =>
    new SimulatedClient(gateway, time, random, { mode, token: `user-1@${TEAM}`, agents, outputs: AGENTS })
  const clients = [client('polling'), client('upgrade'), client('websocket'), client('upgrade', [])]
  const stranger = new SimulatedClient(gateway, time, random, { mode: 'websocket', token: 'eve@team-2' })
  const containers = AGENTS.map((id) => new SimulatedContainer(gateway, time, { teamId: TEAM, id }))
  for (const each of [...clients, stranger]) each.start()
  for (const container of containers) void container.start()
  const isReady = (each: SimulatedClient, i: number) =>
    each.replies.filter((name) => name !== 'error').length >= (i === 3 ? 1 : 1 + AGENTS.length)
  await time.until(() => clients.every(isReady), 'everybody to have joined', MINUTE)

  gateway.faults = faults
  let isOver = false
  const everyMinute = async () => {
    while (!isOver) {
      await time.sleep(MINUTE)
      gateway.invoke(() => sweepOutbox(Number.POSITIVE_INFINITY, world.deps))
      gateway.invoke(() => pingConnections(world.deps))
      for (const container of containers) container.health()
    }
  }
  void everyMinute()
  for (let step = 0; step < 60; step++) {
    await time.pass(random() * 300)
    const dice = random()
    if (dice < 0.4) {
      gateway.invoke(() => world.tell(TEAM, `m${step}`))
      clients[Math.floor(random() * clients.length)]?.say(`chat ${step}`)
    } else if (dice < 0.8) {
      const container = containers[Math.floor(random() * containers.length)]
      container?.write(`<${step} ü😀${'x'.repeat(Math.floor(random() * 3_000))}>\r\n`)
    } else if (dice < 0.95) clients[Math.floor(random() * clients.length)]?.drop()
    else containers[Math.floor(random() * containers.length)]?.drop()
  }
  gateway.faults = NO_FAULTS

  const told = (name: string) =>
    world.ledger.ledgerOf(TEAM).flatMap(({ event }) => (event?.[0] === name ? [event[1]] : []))
  const committed = () => told('agent-status').map((payload) => (payload as { message: string }).message)
  const said = () => told('chat-message').map((payload) => (payload as { id: string }).id)
  const linesOf = (i: number) => (containers[i]?.written.toString() ?? '').split('\r\n').slice(0, -1)
  const complete = () =>
    clients.every((each) => each.isConnected && each.messages.length >= committed().length) &&
    clients.every((each) => each.chat.length >= said().length) &&
    clients.every((each) => AGENTS.every((id, i) => (each.outputs.get(id) ?? []).length >= linesOf(i).length)) &&
    containers.every((container) => container.acknowledged === container.written.length) &&
    clients
      .slice(0, 3)
      .every((each) =>
        AGENTS.every(
          (id, i) => (each.terminals.get(id) ?? '').length >= (containers[i]?.written.toString().length ?? 0),
        ),
      )
  await time.until(complete, `seed ${seed}: everybody to have everything`, 10 * MINUTE).catch((error: unknown) => {
    const state = clients.map(({ messages, terminals, isConnected, connects }) => ({
      messages: messages.length,
      of: committed().length,
      terminals: AGENTS.map((id, i) => [terminals.get(id)?.length, containers[i]?.written.toString().length]),
      isConnected,
      connects,
    }))
    throw new Error(`${String(error)} ${JSON.stringify(state)}`)
  })
  // What would come twice comes now.
  await time.pass(2 * MINUTE)
  isOver = true

  expect(committed().length).toBeGreaterThan(5)
  expect(said().length).toBeGreaterThan(2)
  expect([stranger.messages, stranger.chat]).toEqual([[], []])
  for (const [n, each] of clients.entries()) {
    expect({ seed, n, problems: each.problems }).toEqual({ seed, n, problems: [] })
    expect({ seed, n, messages: each.messages }).toEqual({ seed, n, messages: committed() })
    expect({ seed, n, chat: each.chat }).toEqual({ seed, n, chat: said() })
    expect(new Set(each.chatEvents).size).toBe(each.chatEvents.length)
    for (const [i, id] of AGENTS.entries()) {
      expect(each.outputs.get(id) ?? [], `seed ${seed}, client ${n}, lines of ${id}`).toEqual(linesOf(i))
    }
    if (n === 3) continue
    for (const [i, id] of AGENTS.entries()) {
      expect(each.terminals.get(id) ?? '', `seed ${seed}, client ${n}, ${id}`).toBe(containers[i]?.written.toString())
    }
  }
  for (const [i, id] of AGENTS.entries()) {
    expect(world.terminalLog.text({ teamId: TEAM, id })).toBe(containers[i]?.written.toString())
  }
  expect([...world.ledger.unsettled.values()]).toEqual([])
  return { gateway, clients }
}

/** SIMULATION_ROUNDS=20 runs twenty times as many. */
const ROUNDS = Number(process.env.SIMULATION_ROUNDS ?? 1)
const seeds = (from: number, count: number) => Array.from({ length: count * ROUNDS }, (_, i) => from + i)

describe('every connection gets every event exactly once and in commit order', () => {
  it.each(seeds(1, 12))('with handlers out of order and connections that drop (seed %i)', async (seed) => {
    const { gateway, clients } = await simulate(seed, { ...NO_FAULTS, lostDisconnect: 0.2 })
    expect(gateway.failures).toEqual([])
    expect(clients.some(({ connects }) => connects > 1)).toBe(true)
  })

  it.each(seeds(100_000, 12))('with posts that are refused or unclear (seed %i)', async (seed) => {
    await simulate(seed, { full: 0.1, unclear: 0.05, lostDisconnect: 0.2, kill: 0 })
  })

  it.each(seeds(200_000, 16))('with functions killed at any await (seed %i)', async (seed) => {
    await simulate(seed, { full: 0.02, unclear: 0.02, lostDisconnect: 0.3, kill: 0.15 })
  })
})
