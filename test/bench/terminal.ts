/**
 * Bytes per second and latency from a PTY to its viewers: the control plane, and a plain Socket.IO server, in one run. Viewers
 * are raw WebSockets (test/load/raw-socket.ts), so that fifty of them leave the two cores to what is measured.
 */
import { inTurns, RawSocket } from '../load/raw-socket.ts'
import type { Product } from '../support/product.ts'
import { COST_HEAD, type CostMeter, costRow, NO_COST, plus } from './cost.ts'
import { startPlainServer } from './plain-socket-io.ts'
import { ms, printTable, rate, sample, times } from './statistics.ts'

/** Bytes of a flood: less for many viewers, because one machine serves all of them. */
const floodBytes = (viewers: number): number => Math.round(2_000_000 / Math.max(1, viewers / 5))
const CLOCKS = 20
/** Milliseconds between two lines: more than their delivery to all takes here, so that none waits for the one before. */
const clockEveryMs = (viewers: number): number => 50 + 30 * viewers
const JOINS_AT_ONCE = 4
/** Milliseconds for the prompt, for all clock lines, and for a flood. */
const PATIENCE_MS = 120_000

interface Measured {
  readonly bytesPerSecond: number
  readonly delays: readonly number[]
}

/** What each viewer sees of the terminal, newest part, and who waits for it. */
class Screen {
  readonly socket: RawSocket
  #tail = ''
  readonly #waiting = new Map<string, () => void>()
  onLine: (line: string) => void = () => undefined

  constructor(socket: RawSocket) {
    this.socket = socket
    socket.on((name, { data }) => {
      if (name === 'terminal_data') this.#add(String(data))
    })
  }

  /** Resolves when the text comes, or has just come. */
  seen(text: string): Promise<void> {
    if (this.#tail.includes(text)) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`No "${text}" within ${PATIENCE_MS} ms`)), PATIENCE_MS)
      this.#waiting.set(text, () => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  #add(data: string): void {
    const text = this.#tail + data
    const end = text.lastIndexOf('\n') + 1
    for (const line of text.slice(0, end).split('\r\n')) this.onLine(line)
    for (const [wanted, resolve] of this.#waiting) {
      if (!text.includes(wanted)) continue
      this.#waiting.delete(wanted)
      resolve()
    }
    this.#tail = text.slice(end)
  }
}

/** `type` types into the terminal. `onClocks` is called when the lines of the latency part have come. */
async function measure(screens: readonly Screen[], agentId: string, onClocks: () => void = () => undefined) {
  const [typist] = screens
  if (!typist) throw new Error('no viewer')
  const type = (data: string) => typist.socket.emit('terminal_input', { type: 'input', agentId, data })
  const delays: number[] = []
  const { promise: allClocks, resolve, reject: late } = Promise.withResolvers<void>()
  for (const screen of screens)
    screen.onLine = (line) => {
      const [, at] = /clock (\d{13})$/.exec(line) ?? []
      if (at === undefined) return
      if (delays.push(Date.now() - Number(at)) === CLOCKS * screens.length) resolve()
    }
  type(`clock ${CLOCKS} ${clockEveryMs(screens.length)}\r`)
  const timer = setTimeout(() => late(new Error(`${delays.length} clock lines within ${PATIENCE_MS} ms`)), PATIENCE_MS)
  await allClocks.finally(() => clearTimeout(timer))
  onClocks()

  // The flood's last line is the last of its numbers.
  const bytes = floodBytes(screens.length)
  const last = String(Math.ceil(bytes / 64) - 1).padStart(10, '0')
  const arrived = screens.map((screen) => screen.seen(last))
  const startedAt = performance.now()
  type(`flood ${bytes}\r`)
  await Promise.all(arrived)
  return { bytesPerSecond: bytes / ((performance.now() - startedAt) / 1000), delays } satisfies Measured
}

async function watch(url: string, member: { teamId: string; token: string }, count: number): Promise<Screen[]> {
  return inTurns(count, JOINS_AT_ONCE, async () => new Screen(await RawSocket.join(url, member)))
}

async function throughPlainServer(count: number): Promise<Measured> {
  const server = await startPlainServer()
  try {
    const screens = await watch(server.url, { teamId: 'plain', token: '' }, count)
    await Promise.all(screens.map(({ socket }) => socket.connectTerminal('plain')))
    // The plain server keeps no history: a line break brings the prompt to those who came late.
    screens[0]?.socket.emit('terminal_input', { data: '\r' })
    await Promise.all(screens.map((screen) => screen.seen('mock>')))
    const measured = await measure(screens, 'plain')
    for (const { socket } of screens) socket.close()
    return measured
  } finally {
    await server.close()
  }
}

async function throughProduct(product: Product, meter: CostMeter, count: number) {
  const member = await product.member()
  const screens = await watch(product.url, member, count)
  const { id } = await member.spawn('')
  try {
    await inTurns(count, JOINS_AT_ONCE, (n) => screens[n]?.socket.connectTerminal(id) ?? Promise.resolve())
    await Promise.all(screens.map((screen) => screen.seen('mock>')))
    let cost = NO_COST
    const before = meter.read(product.runtime)
    const measured = await measure(screens, id, () => {
      cost = plus(cost, before, meter.read(product.runtime))
    })
    return { ...measured, cost }
  } finally {
    for (const { socket } of screens) socket.close()
    await member.call('DELETE', `/api/agents/${id}`)
  }
}

export async function benchTerminal(
  product: Product,
  meter: CostMeter,
  viewerCounts: readonly number[],
): Promise<void> {
  const rows = [['viewers', 'bytes/s', 'plain server', 'ratio', 'p50', 'p99', 'plain p50', 'plain p99']]
  const costs = [['viewers', ...COST_HEAD]]
  for (const count of viewerCounts) {
    const plain = await throughPlainServer(count)
    const ours = await throughProduct(product, meter, count)
    const [mine, peer] = [sample(ours.delays), sample(plain.delays)]
    rows.push([
      String(count),
      rate(ours.bytesPerSecond),
      rate(plain.bytesPerSecond),
      times(ours.bytesPerSecond / plain.bytesPerSecond),
      ms(mine.p50),
      ms(mine.p99),
      ms(peer.p50),
      ms(peer.p99),
    ])
    costs.push([String(count), ...costRow(ours.cost, CLOCKS)])
  }
  printTable('terminal: PTY to viewers, bytes/s for each viewer (a flood) and latency (single lines)', rows)
  printTable('terminal: asked of AWS for 1,000 lines', costs)
}
