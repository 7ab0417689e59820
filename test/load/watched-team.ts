/** One team under load: its sockets, its writing agent, and the account of what each socket was given. */
import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import type { LedgerReader } from '../../shared/domain/ledger/ports.ts'
import type { Product } from '../support/product.ts'
import { connectContainer, type FakeContainer, type Tickets } from './fake-container.ts'
import { inTurns, type Payload, RawSocket } from './raw-socket.ts'

/** What only a team's ledger tells; the other events answer a socket or carry a terminal. */
const TEAM_EVENTS = new Set(['agent-spawned', 'agent-status', 'agent-deleted', 'all-agents-deleted'])
const LEDGER_PAGE = 100

interface Viewer {
  readonly socket: RawSocket
  /** Characters of the agent's output seen so far; the output is ASCII, so bytes. */
  seen: number
  readonly told: (readonly [string, Payload])[]
}

export interface TeamOptions {
  readonly name: string
  readonly sockets: number
  readonly product: Product
  readonly tickets: Tickets
  readonly violation: (text: string) => void
}

const SpawnedSchema = z.object({ agent: z.object({ id: z.string() }) })
const isRefusedForNow = ({ status }: { status: number }): boolean => status === 429 || status === 503

type Member = Awaited<ReturnType<Product['member']>>

export class WatchedTeam {
  readonly name: string
  readonly container: FakeContainer
  readonly viewers: readonly Viewer[]
  readonly #member: Member
  /** Everything the agent has written. */
  #written = ''
  #lines = 0

  private constructor(name: string, member: Member, container: FakeContainer, viewers: readonly Viewer[]) {
    this.name = name
    this.#member = member
    this.container = container
    this.viewers = viewers
  }

  /** Sockets first, so that they are told of the whole life of the agent that is spawned then. */
  static async start({ name, sockets, product, tickets, violation }: TeamOptions): Promise<WatchedTeam> {
    const member = await product.member(name)
    let team: WatchedTeam | undefined
    const viewers = await inTurns(sockets, 1, async (): Promise<Viewer> => {
      const socket = await RawSocket.join(product.url, member)
      const viewer: Viewer = { socket, seen: 0, told: [] }
      socket.on((event, payload) => {
        if (TEAM_EVENTS.has(event)) viewer.told.push([event, payload])
        else if (event === 'terminal_data') team?.check(viewer, payload, violation)
        else if (event === 'terminal_error' || event === 'error') violation(`${name}: ${JSON.stringify(payload)}`)
      })
      return viewer
    })
    const { id } = await member.spawn('')
    const container = await connectContainer(id, product.runtime.linkUrl, tickets)
    team = new WatchedTeam(name, member, container, viewers)
    await inTurns(sockets, 2, (n) => viewers[n]?.socket.connectTerminal(id) ?? Promise.resolve())
    return team
  }

  /** One line of output, `bytes` long, that names the team and its own number. */
  write(bytes: number): void {
    const head = `${this.name} line ${String(this.#lines++).padStart(6, '0')} `
    const line = `${head.padEnd(bytes - 2, '.')}\r\n`
    this.#written += line
    this.container.write(line)
  }

  get bytesWritten(): number {
    return this.#written.length
  }

  get isSeenByAll(): boolean {
    return this.viewers.every(({ seen }) => seen === this.#written.length)
  }

  /** Every byte must be the next one that this team's agent wrote: none lost, doubled, out of order or another team's. */
  check(viewer: Viewer, { agentId, data }: Payload, violation: (text: string) => void): void {
    const text = String(data)
    const expected = this.#written.slice(viewer.seen, viewer.seen + text.length)
    if (agentId !== this.container.agentId) violation(`${this.name} was given bytes of agent ${String(agentId)}`)
    else if (text !== expected)
      violation(`${this.name}, byte ${viewer.seen}: "${text.slice(0, 80)}" instead of "${expected.slice(0, 80)}"`)
    viewer.seen += text.length
  }

  /**
   * A short life beside the writing agent: spawned and deleted, which tells each socket several events. False: a request was
   * refused for the moment (429, 503), as this machine does under load; what was done is in the ledger all the same.
   */
  async spawnAndDelete(): Promise<boolean> {
    const spawned = await this.#member.call('POST', '/api/agents/spawn', { agentType: 'mock', task: '' })
    if (isRefusedForNow(spawned)) return false
    const { agent } = SpawnedSchema.parse(spawned.body)
    const deleted = await this.#member.call('DELETE', `/api/agents/${agent.id}`)
    if (isRefusedForNow(deleted)) return false
    if (deleted.status >= 300) throw new Error(`DELETE answered ${deleted.status}: ${JSON.stringify(deleted.body)}`)
    return true
  }

  /** Team events that the ledger holds, and for each socket whether it was told these, in this order, and nothing else. */
  async account(ledger: LedgerReader): Promise<{ events: number; problems: string[] }> {
    const expected: (readonly [string, unknown])[] = []
    for (let sequence = 0; ; ) {
      const entries = await ledger.readAfter(this.name, sequence, LEDGER_PAGE)
      for (const { event } of entries) if (event) expected.push(event)
      if (entries.length < LEDGER_PAGE) break
      sequence = entries.at(-1)?.sequence ?? sequence
    }
    const problems = this.viewers.flatMap(({ told, socket }, n) => [
      ...(socket.failure === undefined ? [] : [`${this.name}, socket ${n}: ${socket.failure}`]),
      ...(isDeepStrictEqual(told, expected) ? [] : [`${this.name}, socket ${n}: ${difference(told, expected)}`]),
    ])
    return { events: expected.length, problems }
  }
}

function difference(told: readonly unknown[], expected: readonly unknown[]): string {
  const at = expected.findIndex((event, n) => !isDeepStrictEqual(event, told[n]))
  const first = at < 0 ? expected.length : at
  const show = (event: unknown) => JSON.stringify(event)?.slice(0, 200)
  return `was told ${told.length} events of ${expected.length}; at ${first}: ${show(told[first])} instead of ${show(expected[first])}`
}
