/**
 * The bridge: holds, for each team that has agents on the existing server, one Socket.IO connection there (the **leg** that
 * listens) and one more for each owner who types. What it hears it reports, one report in flight for each team; what it misses
 * it repairs with a list. It decides nothing and stores nothing: records, ledger and terminal logs are the control plane's.
 */
import { io, type Socket } from 'socket.io-client'
import type { Observed, Report } from './mirror.ts'

/** Reports of a team that wait; beyond it they are forgotten, and a list takes their place. */
const MAX_WAITING = 500
/** Milliseconds for one answer of the existing server. */
const LIST_TIMEOUT_MS = 4_000
/** Milliseconds from a failed list or report to the next list. */
const REPAIR_MS = 1_000
/** Milliseconds a terminal is still followed after its agent's end: output may come behind the status. */
const LAST_OUTPUT_MS = 2_000

/** An agent whose terminal is to be followed. */
export interface RunningAgent {
  readonly teamId: string
  readonly id: string
  readonly userId: string
}

/** A terminal's way into the control plane: the link of one agent. */
export interface TerminalLink {
  write(data: string): void
  /** The agent has ended: closes when all that was written is stored. */
  end(): void
  close(): void
}

export interface BridgePorts {
  /** Resolves when it is committed: the team's running agents there. Throws when it is not certain. */
  report(report: Report): Promise<readonly RunningAgent[]>
  openTerminal(agent: RunningAgent, onInput: (data: string) => void): TerminalLink
  log(message: string, fields: Record<string, unknown>): void
}

export function createSshBridge(existingServerUrl: string, ports: BridgePorts) {
  const teams = new Map<string, TeamLegs>()
  return {
    /** A member of a team that needs the existing server has shown this token; kept in memory only. */
    offer(member: { teamId: string; userId: string; token: string }): void {
      const legs = teams.get(member.teamId) ?? new TeamLegs(existingServerUrl, member.teamId, ports)
      teams.set(member.teamId, legs)
      legs.offer(member.userId, member.token)
    },
    /** Connections at the existing server. */
    legs: (): number => [...teams.values()].reduce((sum, legs) => sum + legs.connections, 0),
    close(): void {
      for (const legs of teams.values()) legs.close()
      teams.clear()
    },
  }
}
export type SshBridge = ReturnType<typeof createSshBridge>

interface Terminal {
  readonly agent: RunningAgent
  readonly link: TerminalLink
  /** Output may have been missed since: marked in the terminal when it flows again. */
  lostAt: Date | undefined
  ending?: NodeJS.Timeout
}

class TeamLegs {
  readonly #tokens = new Map<string, string>()
  readonly #terminals = new Map<string, Terminal>()
  readonly #typists = new Map<string, Socket>()
  readonly #waiting: Report[] = []
  readonly #url: string
  readonly #teamId: string
  readonly #ports: BridgePorts
  #listener: { userId: string; socket: Socket } | undefined
  #isReporting = false
  #isListing = false
  #repair: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(url: string, teamId: string, ports: BridgePorts) {
    this.#url = url
    this.#teamId = teamId
    this.#ports = ports
  }

  get connections(): number {
    return (this.#listener ? 1 : 0) + this.#typists.size
  }

  offer(userId: string, token: string): void {
    this.#tokens.set(userId, token)
    if (!this.#listener) this.#listen()
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#repair)
    this.#listener?.socket.disconnect()
    for (const socket of this.#typists.values()) socket.disconnect()
    for (const { link, ending } of this.#terminals.values()) {
      clearTimeout(ending)
      link.close()
    }
  }

  #connect(userId: string): Socket {
    // `auth` is asked at each reconnect, so a newer token of the member is used as soon as there is one.
    const auth = (give: (data: object) => void) => give({ token: this.#tokens.get(userId) })
    return io(this.#url, { auth, transports: ['websocket'], forceNew: true, reconnectionDelay: 250 })
  }

  /** One member's token listens for all; when it is refused, the next one's does. */
  #listen(): void {
    const [userId] = this.#tokens.keys()
    if (userId === undefined || this.#isClosed) return
    const socket = this.#connect(userId)
    this.#listener = { userId, socket }
    socket.on('connect', () => socket.emit('join-team', { teamId: this.#teamId, token: this.#tokens.get(userId) }))
    socket.on('team-joined', () => {
      for (const { agent } of this.#terminals.values()) this.#follow(agent)
      void this.#list()
    })
    socket.on('disconnect', () => this.#deaf())
    socket.on('connect_error', (error) => {
      // The server's own refusal makes the socket inactive; trouble of the network is retried by the client itself.
      if (socket.active) return
      this.#ports.log('A token was refused by the existing server', { teamId: this.#teamId, error: error.message })
      this.#tokens.delete(userId)
      this.#listener = undefined
      this.#listen()
    })
    this.#hear(socket)
  }

  #hear(socket: Socket): void {
    const teamId = this.#teamId
    socket.on('agent-spawned', ({ agent }: { agent: Observed }) => this.#report({ teamId, kind: 'spawned', agent }))
    socket.on('agent-status', ({ agentId, status }: { agentId: string; status: string }) =>
      this.#report({ teamId, kind: 'status', agentId, status }),
    )
    socket.on('agent-deleted', ({ agentId }: { agentId: string }) => this.#report({ teamId, kind: 'deleted', agentId }))
    socket.on('all-agents-deleted', () => this.#report({ teamId, kind: 'all-deleted' }))
    socket.on('terminal_data', ({ agentId, data }: { agentId: string; data: string }) => this.#output(agentId, data))
    socket.on('terminal_connected', ({ agentId }: { agentId: string }) => this.#mark(agentId))
    socket.on('terminal_error', ({ agentId, error }: { agentId: string; error: string }) =>
      this.#output(agentId, `\r\n[${error}]\r\n`),
    )
  }

  // What comes while the list is under way stands behind it; what the list says already changes nothing then.
  #report(report: Report): void {
    this.#waiting.push(report)
    if (this.#waiting.length > MAX_WAITING) {
      this.#waiting.length = 0
      this.#repairSoon()
    } else if (!this.#isListing) void this.#send()
  }

  async #send(): Promise<void> {
    if (this.#isReporting) return
    this.#isReporting = true
    try {
      for (let next = this.#waiting.shift(); next && !this.#isClosed; next = this.#waiting.shift()) {
        this.#followAll(await this.#ports.report(next))
      }
    } catch (error) {
      this.#ports.log('A report failed, a list will repair it', { teamId: this.#teamId, error })
      this.#waiting.length = 0
      this.#repairSoon()
    } finally {
      this.#isReporting = false
    }
  }

  #repairSoon(): void {
    clearTimeout(this.#repair)
    if (!this.#isClosed) this.#repair = setTimeout(() => void this.#list(), REPAIR_MS)
  }

  async #list(): Promise<void> {
    const userId = this.#listener?.userId
    if (userId === undefined || this.#isListing) return
    this.#isListing = true
    // The list knows better; what happens from now on waits behind it.
    this.#waiting.length = 0
    try {
      const response = await fetch(`${this.#url}/api/agents`, {
        headers: { authorization: `Bearer ${this.#tokens.get(userId)}` },
        signal: AbortSignal.timeout(LIST_TIMEOUT_MS),
      })
      if (!response.ok) throw new Error(`GET /api/agents answered ${response.status}`)
      const { agents } = (await response.json()) as { agents: Observed[] }
      this.#waiting.unshift({ teamId: this.#teamId, kind: 'list', agents })
    } catch (error) {
      if (this.#isClosed) return
      this.#ports.log('The list failed, it is asked for again', { teamId: this.#teamId, error })
      this.#repairSoon()
    } finally {
      this.#isListing = false
    }
    await this.#send()
  }

  /** The control plane's answer says which terminals there are to be. */
  #followAll(running: readonly RunningAgent[]): void {
    const wanted = new Set(running.map(({ id }) => id))
    for (const [id, terminal] of this.#terminals) {
      if (!wanted.has(id)) terminal.ending ??= setTimeout(() => this.#end(id, terminal), LAST_OUTPUT_MS)
    }
    for (const agent of running) {
      if (this.#terminals.has(agent.id)) continue
      const link = this.#ports.openTerminal(agent, (data) => this.#type(agent, data))
      this.#terminals.set(agent.id, { agent, link, lostAt: undefined })
      this.#follow(agent)
    }
  }

  #end(id: string, { link }: Terminal): void {
    this.#terminals.delete(id)
    this.#listener?.socket.emit('terminal_disconnect', { agentId: id })
    link.end()
  }

  /** As an observer, of whom there may be many: the owner's own connection there would be replaced by ours. */
  #follow({ id }: RunningAgent): void {
    this.#listener?.socket.emit('terminal_connect', { agentId: id, cols: 80, rows: 24 })
  }

  #output(agentId: string, data: string): void {
    this.#terminals.get(agentId)?.link.write(data)
  }

  #deaf(): void {
    for (const terminal of this.#terminals.values()) terminal.lostAt ??= new Date()
  }

  /** The existing server replays nothing, so a gap is said rather than hidden. */
  #mark(agentId: string): void {
    const terminal = this.#terminals.get(agentId)
    if (!terminal?.lostAt) return
    const since = terminal.lostAt.toISOString().slice(11, 19)
    terminal.lostAt = undefined
    terminal.link.write(`\r\n[output since ${since} UTC may be missing]\r\n`)
  }

  /** Typed with the owner's own token: the existing server checks it once more. */
  #type({ id, userId }: RunningAgent, data: string): void {
    if (!this.#tokens.has(userId)) {
      this.#output(id, '\r\n[not delivered: sign in again]\r\n')
      return
    }
    const socket = this.#listener?.userId === userId ? this.#listener.socket : this.#typist(userId)
    socket.emit('terminal_input', { type: 'input', agentId: id, data })
  }

  #typist(userId: string): Socket {
    const known = this.#typists.get(userId)
    if (known) return known
    const socket = this.#connect(userId)
    this.#typists.set(userId, socket)
    socket.on('terminal_error', ({ agentId, error }: { agentId: string; error: string }) =>
      this.#output(agentId, `\r\n[${error}]\r\n`),
    )
    socket.on('connect_error', () => {
      if (socket.active) return
      this.#typists.delete(userId)
      this.#tokens.delete(userId)
    })
    return socket
  }
}
