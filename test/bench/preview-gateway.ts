/**
 * The preview gateway beside its library without it and beside the dev server itself. Visitors, gateway and dev server are processes
 * of their own, as on AWS. Requests a second are what this machine's cores share out among all of them; CPU time of a request is the
 * server's own, and does not depend on what else runs.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Listening, Load, PeerRole, Usage, Visits } from './preview-peers.ts'
import { ms, printTable, sample, times } from './statistics.ts'

const PEERS = join(import.meta.dirname, 'preview-peers.ts')
const CONNECTIONS = 32
/** Rounds in turn, so that what else the machine does falls on all alike. */
const ROUNDS = 4
const ROUND_MS = 1_500

class Peer {
  readonly name: string
  readonly #process: ChildProcess
  delays: number[] = []
  cpuUs = 0
  measuredMs = 0

  constructor(name: string, role: PeerRole, upstreamPort?: number) {
    this.name = name
    this.#process = fork(PEERS, [role, ...(upstreamPort === undefined ? [] : [String(upstreamPort)])])
  }

  /** The next message of the process. @throws when it ends before. */
  async answer<T>(): Promise<T> {
    const ended = new AbortController()
    const [message] = await Promise.race([
      once(this.#process, 'message', { signal: ended.signal }),
      once(this.#process, 'exit', { signal: ended.signal }).then(() => {
        throw new Error(`${this.name} has ended`)
      }),
    ]).finally(() => ended.abort())
    return message as T
  }

  async ask<T>(question: Load | 'usage'): Promise<T> {
    const answer = this.answer<T>()
    this.#process.send(question)
    return answer
  }

  /** What was measured so far was to warm up. */
  forget(): void {
    this.delays = []
    this.cpuUs = 0
    this.measuredMs = 0
  }

  end(): void {
    this.#process.kill()
  }
}

async function round(peer: Peer, listening: Listening, visitors: Peer, roundMs: number): Promise<void> {
  const before = await peer.ask<Usage>('usage')
  const startedAt = performance.now()
  const { delays } = await visitors.ask<Visits>({ ...listening, connections: CONNECTIONS, ms: roundMs })
  peer.measuredMs += performance.now() - startedAt
  peer.cpuUs += (await peer.ask<Usage>('usage')).cpuUs - before.cpuUs
  peer.delays.push(...delays)
}

export async function benchPreviewGateway(): Promise<void> {
  const peers: Peer[] = []
  const started = async (name: string, role: PeerRole, upstreamPort?: number) => {
    const peer = new Peer(name, role, upstreamPort)
    peers.push(peer)
    return { peer, listening: await peer.answer<Listening>() }
  }
  try {
    const direct = await started('the dev server directly', 'dev-server')
    const bare = await started('a bare http-proxy-3', 'bare-proxy', direct.listening.port)
    const ours = await started('the gateway', 'gateway', direct.listening.port)
    const visitors = new Peer('visitors', 'visitors')
    peers.push(visitors)
    const measured = [ours, bare, direct]
    for (const { peer, listening } of measured) {
      await round(peer, listening, visitors, ROUND_MS)
      peer.forget()
    }
    for (let n = 0; n < ROUNDS; n++)
      for (const { peer, listening } of measured) await round(peer, listening, visitors, ROUND_MS)
    print(ours.peer, bare.peer, direct.peer)
  } finally {
    for (const peer of peers) peer.end()
  }
}

function print(ours: Peer, bare: Peer, direct: Peer): void {
  const of = (peer: Peer) => ({
    perSecond: (1000 * peer.delays.length) / peer.measuredMs,
    cpuUs: peer.cpuUs / peer.delays.length,
    ...sample(peer.delays),
  })
  const row = (peer: Peer) => {
    const { perSecond, p50, p99, cpuUs } = of(peer)
    return [peer.name, perSecond.toFixed(0), ms(p50), ms(p99), `${cpuUs.toFixed(0)} µs`]
  }
  const ratio = (peer: Peer) => {
    const [a, b] = [of(ours), of(peer)]
    return [
      `the gateway to ${peer.name}`,
      ...([a.perSecond / b.perSecond, a.p50 / b.p50, a.p99 / b.p99, a.cpuUs / b.cpuUs] as const).map(times),
    ]
  }
  printTable(
    `preview gateway: a module of 5 kB, ${CONNECTIONS} connections; visitors and servers in processes of their own`,
    [
      ['', 'requests/s', 'p50', 'p99', 'CPU of a request'],
      row(ours),
      row(bare),
      row(direct),
      ratio(bare),
      ratio(direct),
    ],
  )
}
