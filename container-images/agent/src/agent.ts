import { WORKSPACE_PATIENCE_MS } from '../../../shared/contracts/limits.ts'
import type { ContainerProgram } from '../../common/src/container.ts'
import { EXIT } from '../../common/src/exit-codes.ts'
import { type Outcome, tellExit, within } from '../../common/src/goodbye.ts'
import { LinkClient, type LinkOrder } from '../../common/src/link-client.ts'
import { LinkCredential } from '../../common/src/link-credential.ts'
import { healthMessage, linkStatus, linkTrouble } from '../../common/src/link-health.ts'
import type { Log } from '../../common/src/log.ts'
import type { Health } from '../../common/src/status-server.ts'
import { ForeignClaudeHome } from './claude-cli.ts'
import { Console } from './console.ts'
import { ProgramUnavailable, programCommand, type Welcome } from './programs.ts'
import type { AgentSettings } from './settings.ts'
import type { TerminalEnd } from './terminal.ts'
import { TIMINGS, type Timings } from './timings.ts'
import { WorkspaceError, waitForWorkspace } from './workspace.ts'

export type AgentOptions = {
  readonly settings: AgentSettings
  readonly log: Log
  readonly timings?: Partial<Timings>
  /** Milliseconds to wait for the workspace. */
  readonly patienceMs?: number
  /** What runs in the terminal; left out, the program that `welcome` names. */
  readonly command?: typeof programCommand
}

type Phase = 'connecting' | 'preparing' | 'running' | 'ending'

/**
 * One generation of an agent: opens the link, waits for the team's workspace, runs the program that `welcome` names in a
 * terminal, and ends when the program ends, when it is stopped, or when the control plane does not want it any more.
 */
export class Agent implements ContainerProgram {
  readonly #settings: AgentSettings
  readonly #log: Log
  readonly #timings: Timings
  readonly #patienceMs: number
  readonly #command: typeof programCommand
  readonly #link: LinkClient<'welcome'>
  readonly #console: Console
  readonly #abort = new AbortController()
  readonly #startedAt = performance.now()
  readonly #ended = Promise.withResolvers<number>()
  #phase: Phase = 'connecting'
  #program: string | undefined
  readonly #timers: NodeJS.Timeout[] = []
  #lastHealth: string | undefined
  /** Set when something other than the program's own end decided: it names the reason and the code. */
  #stopping: { readonly outcome: Outcome; readonly since: number; readonly tell: boolean } | undefined

  constructor(options: AgentOptions) {
    this.#settings = options.settings
    this.#log = options.log
    this.#timings = { ...TIMINGS, ...options.timings }
    this.#patienceMs = options.patienceMs ?? WORKSPACE_PATIENCE_MS
    this.#command = options.command ?? programCommand
    this.#link = new LinkClient(
      options.settings.linkUrl,
      new LinkCredential(options.settings.environment, options.settings.ticket),
      'welcome',
      {
        welcome: (message) => this.#welcome(message),
        order: (message) => this.#order(message),
        lost: (why) => {
          this.#console.linkDown()
          this.#log('WARN', 'The link was lost', { why })
        },
        refused: (reason) => this.#stop({ exitCode: EXIT.refused, reason }, false),
      },
      this.#timings,
    )
    this.#console = new Console(
      {
        send: (message) => this.#link.send(message),
        stalled: (why) => this.#link.reopen(why),
        progressed: () => this.#link.healthy(),
      },
      this.#timings,
    )
  }

  /** Runs the agent; resolves with the code that the container ends with. To be called once. */
  run(): Promise<number> {
    this.#link.open()
    this.#timers.push(setInterval(() => this.#tellHealth(), this.#timings.healthEveryMs))
    return this.#ended.promise.finally(() => this.#timers.forEach(clearTimeout))
  }

  /** SIGTERM: asks the program to end, forces it after a grace, and ends in time for ECS's own SIGKILL. */
  stop(): void {
    this.#stop({ exitCode: EXIT.stopped, signal: 'SIGTERM', reason: 'The container was stopped' }, true)
  }

  health(): Health {
    const trouble = linkTrouble(this.#link, this.#timings.linkDownUnhealthyMs)
    if (trouble) return trouble
    if (this.#phase === 'running' && !this.#console.running)
      return { status: 'unhealthy', detail: 'The program is gone' }
    if (this.#console.refusedInputs > 0)
      return { status: 'healthy', detail: 'Typed input was thrown away: the program does not read it' }
    return { status: 'healthy' }
  }

  status(): object {
    return {
      environment: this.#settings.environment,
      program: this.#program,
      phase: this.#phase,
      uptimeSeconds: Math.round((performance.now() - this.#startedAt) / 1000),
      pid: process.pid,
      link: linkStatus(this.#link),
      terminal: this.#console.status(),
      health: this.health(),
    }
  }

  #welcome(message: Welcome): void {
    const { base } = this.#console.output
    // What was acknowledged is not kept here, so nobody can fill the gap; it has to be seen.
    if (message.acknowledged < base)
      this.#log('WARN', 'The log lacks acknowledged output', { acknowledged: base, logged: message.acknowledged })
    this.#console.linkUp(message.acknowledged, message.terminal)
    if (this.#phase === 'connecting' && !this.#stopping) {
      this.#log('INFO', 'The link is up', { program: message.agent.program })
      this.#program = message.agent.program
      this.#begin(message).catch((error: unknown) => this.#fail(error))
    } else this.#log('INFO', 'The link is up again')
    this.#lastHealth = undefined
    this.#tellHealth()
  }

  #order(order: LinkOrder): void {
    switch (order.type) {
      case 'ack':
        this.#console.acknowledged(order.offset)
        break
      case 'input':
        this.#console.accept(order)
        this.#tellHealth({ onlyChange: true })
        break
      case 'resize':
        this.#console.resize(order)
        break
      case 'signal':
        this.#console.signal(order.signal)
        break
      case 'dismissed':
        this.#stop({ exitCode: EXIT.refused, reason: `Dismissed: ${order.reason}` }, false)
        break
      case 'authors':
      case 'request':
      case 'sync-now':
      case 'preview-branches':
        this.#log('WARN', 'The control plane sent an order of workspace sync', { type: order.type })
        break
    }
  }

  async #begin(welcome: Welcome): Promise<void> {
    this.#phase = 'preparing'
    await waitForWorkspace(this.#settings.workspace, {
      patienceMs: this.#patienceMs,
      abort: this.#abort.signal,
      show: (text) => this.#console.show(text),
    })
    const command = await this.#command(this.#settings, welcome)
    if (this.#stopping) return
    this.#console.start(command, (end) => this.#programEnded(end))
    this.#phase = 'running'
  }

  /** Preparing failed, or the program could not be started. */
  #fail(error: unknown): void {
    if (this.#stopping) return
    const message = error instanceof Error ? error.message : String(error)
    const exitCode =
      error instanceof WorkspaceError
        ? EXIT.workspace
        : error instanceof ProgramUnavailable || error instanceof ForeignClaudeHome
          ? EXIT.configuration
          : EXIT.internal
    this.#console.show(`\n${message}\n`)
    this.#finish({ exitCode, reason: message }, true)
  }

  #programEnded(end: TerminalEnd): void {
    if (!this.#stopping) {
      this.#finish(end, true)
      return
    }
    const { outcome, tell } = this.#stopping
    // A program that ends itself when it is asked to keeps its code; that of a signal says nothing the stop does not say.
    this.#finish(tell && end.signal === undefined ? { ...end, reason: outcome.reason } : outcome, tell)
  }

  #stop(outcome: Outcome, tell: boolean): void {
    if (this.#stopping) return
    this.#log('INFO', 'The agent is stopping', { reason: outcome.reason })
    this.#stopping = { outcome, tell, since: performance.now() }
    this.#timers.push(setTimeout(() => this.#ended.resolve(outcome.exitCode), this.#timings.stopDeadlineMs))
    this.#abort.abort()
    if (this.#phase === 'ending') return
    if (!this.#console.running) {
      this.#finish(outcome, tell)
      return
    }
    // SIGHUP is what a terminal's end means, and shells pass it on; SIGTERM is for programs that outlive terminals.
    this.#console.signalAll('SIGHUP')
    this.#console.signalAll('SIGTERM')
    this.#timers.push(setTimeout(() => this.#console.signalAll('SIGKILL'), this.#timings.stopGraceMs))
  }

  #finish(outcome: Outcome, tell: boolean): void {
    if (this.#phase === 'ending') return
    this.#phase = 'ending'
    this.#log('INFO', 'The agent has ended', { exitCode: outcome.exitCode, reason: outcome.reason })
    this.#sayGoodbye(outcome, tell)
      .catch((error: unknown) => this.#log('ERROR', 'The end could not be told', { error: String(error) }))
      .finally(() => this.#ended.resolve(outcome.exitCode))
  }

  /** Output first, then `exit`, then the connection's end, all within the drain time. */
  async #sayGoodbye(outcome: Outcome, tell: boolean): Promise<void> {
    const drained = this.#console.finish()
    if (!tell) {
      await this.#link.close()
      return
    }
    const stopLeft = this.#stopping
      ? this.#timings.stopDeadlineMs - this.#timings.closeMs - (performance.now() - this.#stopping.since)
      : Number.POSITIVE_INFINITY
    const deadline = performance.now() + Math.min(this.#timings.drainMs, stopLeft)
    const left = () => deadline - performance.now()
    if (!(await within(left(), drained)))
      this.#log('WARN', 'Output was not acknowledged in time', { bytes: this.#console.output.pending })
    if (!(await tellExit(this.#link, outcome, left))) this.#log('WARN', 'The exit message may not have arrived')
  }

  #tellHealth({ onlyChange = false } = {}): void {
    if (this.#phase === 'ending') return
    const health = this.health()
    const changed = `${health.status} ${health.detail ?? ''}`
    if (onlyChange && changed === this.#lastHealth) return
    const sent = this.#link.send({ ...healthMessage(health), lateInputs: this.#console.lateInputs })
    if (sent) this.#lastHealth = changed
  }
}
