/** Bytes per second and latency from a PTY to its viewers: the control plane, and a plain Socket.IO server, in one run. */
import { io, type Socket } from 'socket.io-client'
import { type Product, TestSocket } from '../support/product.ts'
import { startPlainServer } from './plain-socket-io.ts'
import { ms, printTable, rate, sample, times } from './statistics.ts'

const FLOOD_BYTES = 2_000_000
const CLOCKS = 40
const CLOCK_EVERY_MS = 50

interface Measured {
  readonly bytesPerSecond: number
  readonly p50: number
  readonly p99: number
}

/** What the viewers of one terminal see; the first one types. */
async function measure(viewers: readonly TestSocket[], agentId: string): Promise<Measured> {
  const [typist] = viewers
  if (!typist) throw new Error('no viewer')
  await Promise.all(viewers.map((viewer) => viewer.connectTerminal(agentId)))
  await Promise.all(viewers.map((viewer) => viewer.seen(agentId, 'mock>')))

  const delays: number[] = []
  for (const { socket } of viewers)
    socket.on('terminal_data', ({ data }: { data: string }) => {
      for (const [, at] of data.matchAll(/clock (\d{13})\r?\n/g)) delays.push(Date.now() - Number(at))
    })
  typist.type(agentId, `clock ${CLOCKS} ${CLOCK_EVERY_MS}\r`)
  await typist.until(() => delays.length >= CLOCKS * viewers.length, 'all clock lines', 60_000)

  // The flood's last line is the last of its numbers.
  const last = String(Math.ceil(FLOOD_BYTES / 64) - 1).padStart(10, '0')
  const arrived = viewers.map(({ socket }) => arrival(socket, last))
  const startedAt = performance.now()
  typist.type(agentId, `flood ${FLOOD_BYTES}\r`)
  await Promise.all(arrived)
  return { bytesPerSecond: FLOOD_BYTES / ((performance.now() - startedAt) / 1000), ...sample(delays) }
}

/** Resolves when `text` has come; looks at the newest part only, so that looking costs the same for every event. */
function arrival(socket: Socket, text: string): Promise<void> {
  return new Promise((resolve) => {
    let tail = ''
    const look = ({ data }: { data: string }) => {
      const found = (tail + data).includes(text)
      tail = (tail + data).slice(-text.length)
      if (!found) return
      socket.off('terminal_data', look)
      resolve()
    }
    socket.on('terminal_data', look)
  })
}

async function throughPlainServer(count: number): Promise<Measured> {
  const server = await startPlainServer()
  const sockets: Socket[] = []
  try {
    const viewers = await Promise.all(
      Array.from({ length: count }, async () => {
        const socket = io(server.url, { transports: ['websocket'], forceNew: true })
        sockets.push(socket)
        const viewer = new TestSocket(socket)
        await new Promise<void>((resolve) => socket.once('connect', () => resolve()))
        return viewer
      }),
    )
    // The plain server keeps no history: a line break brings the prompt to those who came late.
    await Promise.all(viewers.map((viewer) => viewer.connectTerminal('plain')))
    viewers[0]?.type('plain', '\r')
    return await measure(viewers, 'plain')
  } finally {
    for (const socket of sockets) socket.disconnect()
    await server.close()
  }
}

async function throughProduct(product: Product, count: number): Promise<Measured> {
  const member = await product.member()
  const viewers = await Promise.all(Array.from({ length: count }, () => member.socket()))
  await Promise.all(viewers.map((viewer) => viewer.upgraded()))
  const { id } = await member.spawn('')
  try {
    return await measure(viewers, id)
  } finally {
    for (const { socket } of viewers) socket.disconnect()
    await member.call('DELETE', `/api/agents/${id}`)
  }
}

export async function benchTerminal(product: Product, viewerCounts: readonly number[]): Promise<void> {
  const rows = [['viewers', 'bytes/s', 'plain server', 'ratio', 'p50', 'p99', 'plain p50', 'plain p99']]
  for (const count of viewerCounts) {
    const plain = await throughPlainServer(count)
    const ours = await throughProduct(product, count)
    rows.push([
      String(count),
      rate(ours.bytesPerSecond),
      rate(plain.bytesPerSecond),
      times(ours.bytesPerSecond / plain.bytesPerSecond),
      ms(ours.p50),
      ms(ours.p99),
      ms(plain.p50),
      ms(plain.p99),
    ])
  }
  printTable(`terminal: PTY to viewers (flood of ${FLOOD_BYTES} bytes; one line every ${CLOCK_EVERY_MS} ms)`, rows)
}
