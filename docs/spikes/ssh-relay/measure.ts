/**
 * Measures the relay and the bridge side by side, with unmodified clients and the existing server's stand-in on this machine:
 * `node docs/spikes/ssh-relay/measure.ts [seconds of idling, 60]`. Prints a table; takes idle seconds + about half a minute.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { io, type Socket } from 'socket.io-client'
import { startControlPlane } from './control-plane.ts'
import { type ExistingServerStandIn, startExistingServer } from './existing-server.ts'
import { startRelay } from './relay.ts'
import { createSshBridge } from './ssh-bridge.ts'

const TEAM = 'team-1'
const EVERY_MS = 20

export interface Measuring {
  readonly idleSeconds: number
  /** Pieces of output, 20 ms apart, for each of the two measurements of a terminal. */
  readonly pieces: number
  /** Milliseconds for pieces that are still on their way; longer than a reconnect, or it looks like a loss. */
  readonly patienceMs: number
}

/** As the frontend's App socket; the reconnection delays are its own, 2 s and more. */
function member(url: string, userId: string): Socket {
  const token = `${userId}@${TEAM}`
  const socket = io(url, { auth: { token }, forceNew: true, reconnectionDelay: 2_000, reconnectionDelayMax: 10_000 })
  socket.on('connect', () => socket.emit('join-team', { teamId: TEAM, token }))
  return socket
}

const joined = (socket: Socket) => new Promise<void>((resolve) => socket.once('team-joined', () => resolve()))

async function watched(socket: Socket): Promise<void> {
  const connected = new Promise<void>((resolve) => socket.once('terminal_connected', () => resolve()))
  socket.emit('terminal_connect', { agentId: 'a' })
  await connected
}

interface Collected {
  readonly numbers: number[]
  readonly delays: number[]
  stop(): void
}

/** Of pieces like `#7;12.5 `: a number, and when it was said. */
function collect(socket: Socket): Collected {
  const numbers: number[] = []
  const delays: number[] = []
  const take = ({ data }: { data: string }): void => {
    for (const [, number, at] of data.matchAll(/#(\d+);([\d.]+) /g)) {
      numbers.push(Number(number))
      delays.push(performance.now() - Number(at))
    }
  }
  socket.on('terminal_data', take)
  return { numbers, delays, stop: () => socket.off('terminal_data', take) }
}

async function talk(
  existing: ExistingServerStandIn,
  pieces: number,
  half: () => void = () => undefined,
): Promise<void> {
  for (let i = 1; i <= pieces; i++) {
    if (i === pieces / 2) half()
    existing.say('a', `#${i};${performance.now()} `)
    await sleep(EVERY_MS)
  }
}

const percentile = (values: number[], p: number): string => {
  const sorted = [...values].sort((a, b) => a - b)
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN).toFixed(1)
}

async function until(isSo: () => boolean, ms: number): Promise<void> {
  const end = performance.now() + ms
  while (!isSo() && performance.now() < end) await sleep(10)
}

function accounts(numbers: readonly number[], pieces: number): string {
  const distinct = new Set(numbers)
  const inOrder = numbers.every((n, i) => i === 0 || n > (numbers[i - 1] ?? 0))
  return `${pieces - distinct.size} of ${pieces} lost, ${numbers.length - distinct.size} doubled, ${inOrder ? 'in order' : 'out of order'}`
}

interface Side {
  readonly url: string
  requests(): number
  heldMs(): number
  legs(): number
  flip(): void
  close(): Promise<void>
}

export async function relaySide(existing: ExistingServerStandIn): Promise<Side> {
  let isOnSsh = true
  const relay = await startRelay(existing.url, () => isOnSsh)
  return {
    url: relay.url,
    requests: () => relay.invocations.length,
    heldMs: () => relay.invocations.reduce((sum, { ms }) => sum + ms, 0),
    legs: relay.legs,
    flip() {
      isOnSsh = false
      relay.endSessions()
    },
    close: relay.close,
  }
}

export async function bridgeSide(existing: ExistingServerStandIn): Promise<Side> {
  const plane = await startControlPlane(existing.url)
  plane.onSsh.add(TEAM)
  return {
    url: plane.gateway.url,
    requests: () => plane.gateway.requests.length,
    // After the upgrade nothing is held; what the schedule's pings cost is counted in the text.
    heldMs: () => 0,
    legs: plane.legs,
    flip: () => plane.onSsh.delete(TEAM),
    close: plane.close,
  }
}

export async function measure(
  begin: (existing: ExistingServerStandIn) => Promise<Side>,
  { idleSeconds, pieces, patienceMs }: Measuring,
) {
  const existing = await startExistingServer()
  existing.agents.set('a', { id: 'a', teamId: TEAM, userId: 'ann', status: 'running' })
  const side = await begin(existing)
  // Two sockets a tab, two members.
  const sockets = ['ann', 'ann', 'bob', 'bob'].map((userId) => member(side.url, userId))
  await Promise.all(sockets.map(joined))
  const [first] = sockets
  if (!first) throw new Error('no socket')
  await until(() => existing.io.of('/').adapter.rooms.has(TEAM), 5_000)
  await sleep(1_000) // the bridge's list, the upgrades
  const [requests, held] = [side.requests(), side.heldMs()]
  await sleep(idleSeconds * 1000)
  const idleRequests = side.requests() - requests
  const idleHeld = (side.heldMs() - held) / 1000
  const perMinute = (n: number) => (((n / sockets.length) * 60) / idleSeconds).toFixed(1)
  const legs = side.legs()
  await watched(first)
  const steady = collect(first)
  await until(() => existing.io.of('/').adapter.rooms.has('terminal a'), 5_000)
  await talk(existing, pieces)
  await until(() => steady.numbers.length >= pieces, patienceMs)
  steady.stop()
  const across = collect(first)
  let disconnects = 0
  first.on('disconnect', () => disconnects++)
  await talk(existing, pieces, side.flip)
  await until(() => across.numbers.length >= pieces, patienceMs)
  across.stop()
  const atTheFlip = disconnects
  for (const socket of sockets) socket.disconnect()
  await side.close()
  await existing.close()
  return {
    'requests a minute, idle socket': perMinute(idleRequests),
    'function seconds a minute, idle socket': perMinute(idleHeld),
    'connections there, 4 sockets': String(legs),
    'terminal, nothing else happens': accounts(steady.numbers, pieces),
    'its latency ms, p50 / p99': `${percentile(steady.delays, 0.5)} / ${percentile(steady.delays, 0.99)}`,
    'terminal of an agent that runs on, flip to containers in the middle': accounts(across.numbers, pieces),
    'disconnects by then': String(atTheFlip),
  }
}

/** The same clients at the existing server itself, for comparison of latency. */
async function direct(): Promise<string> {
  const existing = await startExistingServer()
  existing.agents.set('a', { id: 'a', teamId: TEAM, userId: 'ann', status: 'running' })
  const socket = member(existing.url, 'ann')
  await joined(socket)
  await watched(socket)
  const { delays } = collect(socket)
  await talk(existing, 200)
  socket.disconnect()
  await existing.close()
  return `${percentile(delays, 0.5)} / ${percentile(delays, 0.99)}`
}

/** 1,000 members of 100 teams offered to one bridge: connections there, and memory of both ends in this process. */
async function atScale(): Promise<string> {
  const existing = await startExistingServer()
  const before = process.memoryUsage().rss
  const reported = new Set<string>()
  const bridge = createSshBridge(existing.url, {
    report: async ({ teamId }) => {
      reported.add(teamId)
      return []
    },
    openTerminal: () => ({ write() {}, end() {}, close() {} }),
    log: (message, fields) => console.error(message, fields),
  })
  for (let i = 0; i < 1_000; i++) {
    const [teamId, userId] = [`team-${i % 100}`, `user-${i}`]
    bridge.offer({ teamId, userId, token: `${userId}@${teamId}` })
  }
  while (reported.size < 100) await sleep(20)
  const megabytes = ((process.memoryUsage().rss - before) / 1e6).toFixed(0)
  const legs = bridge.legs()
  bridge.close()
  await existing.close()
  return `${legs} connections, ${megabytes} MB for both ends`
}

if (import.meta.main) {
  const measuring = { idleSeconds: Number(process.argv[2] ?? 60), pieces: 200, patienceMs: 5_000 }
  console.log(`1,000 members of 100 teams: ${await atScale()}\n`)
  const [relay, bridge] = [await measure(relaySide, measuring), await measure(bridgeSide, measuring)]
  console.log(`| | relay of polls | bridge |\n|---|---|---|`)
  for (const [key, value] of Object.entries(relay))
    console.log(`| ${key} | ${value} | ${bridge[key as keyof typeof bridge]} |`)
  console.log(`\nDirect, without us: latency ms, p50 / p99: ${await direct()}`)
}
