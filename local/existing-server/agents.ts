import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

/** Agents that a team's list shows, as in the existing server; the oldest that has ended makes room. */
export const MAX_AGENTS = 50
/** Lines of output kept of one agent, and characters of a line. */
const MAX_LINES = 1_000
const MAX_LINE_CHARS = 10_000
/** Milliseconds between SIGTERM and SIGKILL. */
const GRACE_MS = 3_000

const programs = join(import.meta.dirname, '..', '..', 'container-images', 'agent', 'src')

export interface ModelAccess {
  readonly baseUrl: string
  readonly apiKey: string
}

export interface AgentOrder {
  readonly teamId: string
  readonly userId: string
  readonly userName: string
  readonly agentType: 'claude' | 'mock'
  /** For `claude` never empty: without a terminal it only carries out tasks. */
  readonly task: string
  readonly repositoryUrl: string | null
}

type AgentStatus = 'running' | 'completed' | 'failed' | 'killed'
interface Line {
  readonly timestamp: string
  readonly line: string
}
interface Agent extends AgentOrder {
  readonly id: string
  readonly agentName: string
  readonly process: ChildProcess
  readonly ended: Promise<void>
  readonly output: Line[]
  /** The line that has not ended yet. */
  partial: string
  status: AgentStatus
  readonly startedAt: string
  lastActivity: string
  completedAt: string | null
  exitCode?: number
}

/** An agent as the existing server's HTTP answers show it. */
export type AgentAnswer = ReturnType<typeof answerOf>

/** Agents as plain processes on this machine, each a process group of its own, without a terminal. */
export class AgentProcesses {
  readonly #agents = new Map<string, Agent>()
  readonly #directory: string
  readonly #model: ModelAccess

  /** @param directory One workspace a team and one home an agent are made in it. */
  constructor(directory: string, model: ModelAccess) {
    this.#directory = directory
    this.#model = model
  }

  /** Undefined: the team's list is full of agents that run. */
  spawn(order: AgentOrder): AgentAnswer | undefined {
    if (!this.#makeRoom(order.teamId)) return undefined
    const id = randomUUID()
    const child = this.#start(id, order)
    const startedAt = new Date().toISOString()
    const agent: Agent = {
      ...order,
      id,
      agentName: `Agent ${id.slice(0, 6)}`,
      process: child,
      ended: new Promise((resolve) => child.once('close', () => resolve())),
      output: [],
      partial: '',
      status: 'running',
      startedAt,
      lastActivity: startedAt,
      completedAt: null,
    }
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => take(agent, text))
    // EPIPE: the process has ended; its end says so.
    child.stdin?.on('error', () => undefined)
    child.once('error', (error) => {
      take(agent, `could not be started: ${error.message}\n`)
      end(agent, 'failed')
    })
    child.once('close', (code, signal) => {
      if (agent.partial !== '') take(agent, '\n')
      if (code !== null) agent.exitCode = code
      end(agent, signal ? 'killed' : code === 0 ? 'completed' : 'failed')
    })
    this.#agents.set(id, agent)
    return answerOf(agent)
  }

  /** The team's agents, newest first. */
  list(teamId: string): AgentAnswer[] {
    return this.#of(teamId).map(answerOf).reverse()
  }

  get(teamId: string, id: string): (AgentAnswer & { output: readonly Line[] }) | undefined {
    const agent = this.#find(teamId, id)
    return agent && { ...answerOf(agent), output: agent.output }
  }

  /** Resolves when it has really ended; false: the team has no such agent. */
  async delete(teamId: string, id: string): Promise<boolean> {
    const agent = this.#find(teamId, id)
    if (!agent) return false
    this.#agents.delete(id)
    await stop(agent)
    return true
  }

  async deleteAll(teamId: string): Promise<number> {
    const agents = this.#of(teamId)
    for (const { id } of agents) this.#agents.delete(id)
    await Promise.all(agents.map(stop))
    return agents.length
  }

  /** Typed input; Enter is CR, as a terminal sends it. False: no such agent, or it has ended. */
  input(teamId: string, id: string, text: string): boolean {
    const agent = this.#find(teamId, id)
    if (agent?.status !== 'running') return false
    agent.process.stdin?.write(text.replaceAll('\r', '\n'))
    return true
  }

  signal(teamId: string, id: string, signal: NodeJS.Signals): boolean {
    const agent = this.#find(teamId, id)
    return agent?.status === 'running' && signalGroup(agent, signal)
  }

  async close(): Promise<void> {
    const agents = [...this.#agents.values()]
    this.#agents.clear()
    await Promise.all(agents.map(stop))
  }

  #of = (teamId: string): Agent[] => [...this.#agents.values()].filter((agent) => agent.teamId === teamId)

  #find(teamId: string, id: string): Agent | undefined {
    const agent = this.#agents.get(id)
    return agent?.teamId === teamId ? agent : undefined
  }

  #makeRoom(teamId: string): boolean {
    const agents = this.#of(teamId)
    if (agents.length < MAX_AGENTS) return true
    const oldest = agents.find(({ status }) => status !== 'running')
    return oldest !== undefined && this.#agents.delete(oldest.id)
  }

  #start(id: string, { teamId, agentType, task }: AgentOrder): ChildProcess {
    const workspace = join(this.#directory, 'workspaces', teamId)
    const home = join(this.#directory, 'homes', id)
    for (const directory of [workspace, home]) mkdirSync(directory, { recursive: true })
    const program = join(programs, agentType === 'mock' ? 'mock-agent.ts' : 'claude-task.ts')
    return spawn(process.execPath, [program, ...(task === '' ? [] : [task])], {
      cwd: workspace,
      // A group of its own, so that a signal reaches what the agent has started, too.
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        HOME: home,
        LANG: 'C.UTF-8',
        ...(agentType === 'claude'
          ? {
              ANTHROPIC_API_KEY: this.#model.apiKey,
              ANTHROPIC_BASE_URL: this.#model.baseUrl,
              CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
              DISABLE_AUTOUPDATER: '1',
              IS_SANDBOX: '1',
            }
          : {}),
      },
    })
  }
}

function take(agent: Agent, text: string): void {
  const timestamp = new Date().toISOString()
  agent.lastActivity = timestamp
  const lines = `${agent.partial}${text}`.split('\n')
  agent.partial = (lines.pop() ?? '').slice(-MAX_LINE_CHARS)
  for (const line of lines) agent.output.push({ timestamp, line: line.slice(0, MAX_LINE_CHARS) })
  agent.output.splice(0, Math.max(0, agent.output.length - MAX_LINES))
}

function end(agent: Agent, status: AgentStatus): void {
  if (agent.completedAt !== null) return
  agent.status = status
  agent.completedAt = new Date().toISOString()
  agent.lastActivity = agent.completedAt
}

/** False: nothing of the group is left. */
function signalGroup({ process: { pid } }: Agent, signal: NodeJS.Signals): boolean {
  if (pid === undefined) return false
  try {
    return process.kill(-pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

async function stop(agent: Agent): Promise<void> {
  if (agent.completedAt !== null) return
  signalGroup(agent, 'SIGTERM')
  const force = setTimeout(() => signalGroup(agent, 'SIGKILL'), GRACE_MS)
  await agent.ended
  clearTimeout(force)
}

function answerOf({ process: _process, ended: _ended, output, partial: _partial, ...agent }: Agent) {
  return { ...agent, type: agent.agentType, outputLines: output.length }
}
