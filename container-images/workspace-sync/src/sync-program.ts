import { realpath } from 'node:fs/promises'
import type { LinkDown } from '../../../shared/contracts/link.ts'
import { RepositoryUrlError } from '../../../shared/contracts/repository-url.ts'
import type { ContainerProgram } from '../../common/src/container.ts'
import { EXIT } from '../../common/src/exit-codes.ts'
import { type Outcome, tellExit } from '../../common/src/goodbye.ts'
import { LinkClient, type LinkOrder } from '../../common/src/link-client.ts'
import { LinkCredential } from '../../common/src/link-credential.ts'
import { healthMessage, linkStatus, linkTrouble } from '../../common/src/link-health.ts'
import type { Log } from '../../common/src/log.ts'
import type { Health } from '../../common/src/status-server.ts'
import { Authors } from './authors.ts'
import { eraseTeam } from './erase.ts'
import { FilesServer } from './files/files-server.ts'
import { FilesRefused, TeamFiles } from './files/team-files.ts'
import type { WorkspaceSync, WorkspaceSyncOptions } from './git/types.ts'
import type { Resolve } from './remote/addresses.ts'
import { type RemoteAccess, remoteOf } from './remote/remote-access.ts'
import { Reports } from './reports.ts'
import { Rounds } from './rounds.ts'
import type { SyncSettings } from './settings.ts'
import { SYNC_TIMINGS, type SyncTimings } from './sync-timings.ts'

type Welcome = Extract<LinkDown, { type: 'welcome-sync' }>

export type SyncProgramOptions = {
  readonly settings: SyncSettings
  readonly log: Log
  /** The git engine: `createWorkspaceSync`. */
  readonly createEngine: (options: WorkspaceSyncOptions) => WorkspaceSync
  readonly timings?: Partial<SyncTimings>
  /** The system's resolver unless a test has names of its own. */
  readonly resolve?: Resolve
}

type Phase = 'connecting' | 'syncing' | 'erasing' | 'ending'

/**
 * One generation of a team's workspace sync: opens the link, is told what it is for, and then either erases the team's files and ends, or
 * keeps the working tree and the repository in step and serves the files API, until it is stopped. A link that is lost stops
 * neither.
 */
export class SyncProgram implements ContainerProgram {
  readonly #options: SyncProgramOptions
  readonly #settings: SyncSettings
  readonly #log: Log
  readonly #timings: SyncTimings
  readonly #link: LinkClient<'welcome-sync'>
  readonly #reports: Reports
  readonly #authors: Authors
  readonly #abort = new AbortController()
  readonly #startedAt = performance.now()
  readonly #ended = Promise.withResolvers<number>()
  readonly #timers: NodeJS.Timeout[] = []
  #phase: Phase = 'connecting'
  #stoppedAt: number | undefined
  #remote: RemoteAccess | undefined
  #rounds: Rounds | undefined
  #engine: WorkspaceSync | undefined
  /** Branches that have previews, as told last. */
  #previews: readonly string[] = []
  #files: FilesServer | undefined
  #lastHealth: string | undefined

  constructor(options: SyncProgramOptions) {
    this.#options = options
    this.#settings = options.settings
    this.#log = options.log
    this.#timings = { ...SYNC_TIMINGS, ...options.timings }
    this.#link = new LinkClient(
      options.settings.linkUrl,
      new LinkCredential(options.settings.environment, options.settings.ticket),
      'welcome-sync',
      {
        welcome: (message) => this.#welcome(message),
        order: (message) => this.#order(message),
        lost: (why) => {
          this.#reports.linkLost()
          this.#files?.linkLost()
          this.#log('WARN', 'The link was lost', { why })
        },
        refused: (reason) => this.#finish({ exitCode: EXIT.refused, reason }, false),
      },
      this.#timings,
    )
    this.#reports = new Reports({
      send: (report) => this.#link.send({ action: 'link', type: 'sync', ...report }),
      explain: (text) => this.#remote?.explain(text) ?? text,
      unsureMs: this.#timings.reportUnsureMs,
    })
    this.#authors = new Authors((message) => this.#link.send(message), this.#timings.authorsMs)
  }

  run(): Promise<number> {
    this.#link.open()
    this.#timers.push(setInterval(() => this.#tellHealth(), this.#timings.healthEveryMs))
    return this.#ended.promise.finally(() => this.#timers.forEach(clearTimeout))
  }

  /** SIGTERM: a last commit and push, then the end, in time for ECS's own SIGKILL. */
  stop(): void {
    if (this.#phase === 'ending' || this.#stoppedAt !== undefined) return
    this.#stoppedAt = performance.now()
    this.#log('INFO', 'Workspace sync is stopping')
    if (this.#phase === 'erasing') {
      this.#finish({ exitCode: EXIT.stopped, signal: 'SIGTERM', reason: 'The erasure was stopped' }, true)
      return
    }
    const unfinished = { exitCode: EXIT.unfinished, reason: 'The last commit was not done in time' }
    const late = () => this.#finish(unfinished, true)
    this.#timers.push(setTimeout(late, this.#timings.finishMs + this.#timings.closeMs))
    this.#timers.push(setTimeout(() => this.#ended.resolve(unfinished.exitCode), this.#timings.stopDeadlineMs))
    const finished = this.#rounds?.finish(new Date(Date.now() + this.#timings.finishMs)) ?? Promise.resolve()
    finished.then(
      () => this.#finish({ exitCode: 0, reason: 'Workspace sync was stopped' }, true),
      (error: unknown) => this.#fail('The last commit failed', error),
    )
  }

  health(): Health {
    const trouble = linkTrouble(this.#link, this.#timings.linkDownUnhealthyMs)
    if (trouble) return trouble
    const rounds = this.#rounds
    if (rounds && rounds.state !== 'waiting' && rounds.inStateMs > this.#timings.stuckMs)
      return {
        status: 'unhealthy',
        detail: `Git has been ${rounds.state} for ${Math.round(rounds.inStateMs / 1000)} s`,
      }
    const report = this.#reports.latest
    if (report === undefined || report.state === 'synced') return { status: 'healthy' }
    return { status: 'healthy', detail: [report.state, report.detail].filter((text) => text !== undefined).join(': ') }
  }

  status(): object {
    return {
      environment: this.#settings.environment,
      phase: this.#phase,
      uptimeSeconds: Math.round((performance.now() - this.#startedAt) / 1000),
      pid: process.pid,
      link: linkStatus(this.#link),
      rounds: this.#rounds && { state: this.#rounds.state, count: this.#rounds.count },
      report: this.#reports.latest,
      health: this.health(),
    }
  }

  #welcome(message: Welcome): void {
    this.#setPreviews(message.previews ?? [])
    if (this.#phase === 'connecting' && this.#stoppedAt === undefined) {
      this.#log('INFO', 'The link is up', { purpose: message.purpose })
      const begun = message.purpose === 'erase' ? this.#erase() : this.#begin(message)
      begun.catch((error: unknown) => this.#fail('Workspace sync could not begin', error))
    } else {
      this.#log('INFO', 'The link is up again')
      this.#remote
        ?.use(message.repository?.credential)
        .catch((error: unknown) => this.#log('ERROR', 'A key was not removed', { error: String(error) }))
    }
    this.#reports.linkUp()
    this.#lastHealth = undefined
    this.#tellHealth()
  }

  #order(order: LinkOrder): void {
    switch (order.type) {
      case 'authors':
        this.#authors.answered(order.id, order.authors)
        break
      case 'request':
        this.#request(order)
        break
      case 'sync-now':
        this.#rounds?.soon()
        break
      case 'preview-branches':
        this.#setPreviews(order.branches)
        break
      case 'dismissed':
        this.#finish({ exitCode: EXIT.refused, reason: `Dismissed: ${order.reason}` }, false)
        break
      case 'ack':
      case 'input':
      case 'resize':
      case 'signal':
        this.#log('WARN', 'The control plane sent an order for an agent', { type: order.type })
        break
    }
  }

  #setPreviews(branches: readonly string[]): void {
    if (String(branches) === String(this.#previews)) return
    this.#previews = branches
    this.#engine?.setPreviewBranches(branches)
    this.#rounds?.soon()
  }

  #request(part: Extract<LinkOrder, { type: 'request' }>): void {
    // Until it is known what this container is for, nobody's files are there.
    this.#files ??= this.#filesServer(() =>
      Promise.reject(new FilesRefused('not-ready', 'The workspace is being prepared')),
    )
    this.#files.accept({ id: part.id, part: part.part, parts: part.parts, data: part.data })
  }

  #filesServer(handle: TeamFiles['handle']): FilesServer {
    return new FilesServer({
      handle,
      send: (part) => this.#link.send({ action: 'link', type: 'answer', ...part }),
      log: this.#log,
    })
  }

  async #begin({ repository, allowLoopback }: Welcome): Promise<void> {
    this.#phase = 'syncing'
    const root = await realpath(this.#settings.teamRoot)
    if (repository !== undefined)
      this.#remote = remoteOf(repository, { allowLoopback, root, resolve: this.#options.resolve })
    const remote = this.#remote
    const engine = this.#options.createEngine({
      root,
      repository: remote && { url: remote.url, gitEnvironment: () => remote.gitEnvironment() },
      authors: (since) => this.#authors.ask(since),
      report: (report) => {
        this.#reports.add(report)
        this.#tellHealth({ onlyChange: true })
      },
      clock: { now: () => new Date() },
      log: this.#log,
      signal: this.#abort.signal,
    })
    engine.setPreviewBranches(this.#previews)
    this.#engine = engine
    const rounds = new Rounds(engine, this.#timings, this.#log)
    const files = new TeamFiles({ root, branch: () => engine.branch(), written: () => rounds.soon() })
    await files.clear()
    if (this.#stoppedAt !== undefined) return
    this.#files = this.#filesServer((request) => files.handle(request))
    this.#rounds = rounds
    rounds.start()
  }

  async #erase(): Promise<void> {
    this.#phase = 'erasing'
    await eraseTeam(this.#settings.teamRoot)
    this.#finish({ exitCode: 0, reason: "The team's files were erased" }, true)
  }

  #fail(what: string, error: unknown): void {
    const why = error instanceof Error ? error.message : String(error)
    this.#log('ERROR', what, { why })
    const exitCode =
      error instanceof RepositoryUrlError
        ? EXIT.configuration
        : this.#phase === 'erasing'
          ? EXIT.files
          : this.#stoppedAt === undefined
            ? EXIT.internal
            : EXIT.unfinished
    if (error instanceof RepositoryUrlError) this.#reports.add({ state: 'failed', detail: why })
    this.#finish({ exitCode, reason: `${what}: ${why}` }, true)
  }

  #finish(outcome: Outcome, tell: boolean): void {
    if (this.#phase === 'ending') return
    this.#phase = 'ending'
    this.#log('INFO', 'Workspace sync has ended', { exitCode: outcome.exitCode, reason: outcome.reason })
    // Whatever git still does: its processes end, and the next start goes on from what is on disk.
    this.#abort.abort()
    this.#sayGoodbye(outcome, tell)
      .catch((error: unknown) => this.#log('ERROR', 'The end could not be told', { error: String(error) }))
      .finally(() => this.#ended.resolve(outcome.exitCode))
  }

  async #sayGoodbye(outcome: Outcome, tell: boolean): Promise<void> {
    await this.#remote?.close()
    if (!tell) {
      await this.#link.close()
      return
    }
    const stopLeft =
      this.#stoppedAt === undefined
        ? this.#timings.welcomeMs
        : this.#timings.stopDeadlineMs - this.#timings.closeMs - (performance.now() - this.#stoppedAt)
    const deadline = performance.now() + Math.min(this.#timings.welcomeMs, stopLeft)
    if (!(await tellExit(this.#link, outcome, () => deadline - performance.now())))
      this.#log('WARN', 'The exit message may not have arrived')
  }

  #tellHealth({ onlyChange = false } = {}): void {
    if (this.#phase === 'ending') return
    const health = this.health()
    const changed = JSON.stringify(health)
    if (onlyChange && changed === this.#lastHealth) return
    if (this.#link.send(healthMessage(health))) this.#lastHealth = changed
  }
}
