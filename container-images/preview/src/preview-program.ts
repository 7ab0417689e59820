import path from 'node:path'
import { TEAM_FILES } from '../../../shared/contracts/link.ts'
import {
  PREVIEW_REPORT_MAX,
  type PreviewBranch,
  type PreviewReport,
  type WelcomePreview,
} from '../../../shared/contracts/preview-link.ts'
import type { ContainerProgram } from '../../common/src/container.ts'
import { EXIT } from '../../common/src/exit-codes.ts'
import { type Outcome, tellExit, within } from '../../common/src/goodbye.ts'
import { LinkClient, type LinkOrder } from '../../common/src/link-client.ts'
import { LinkCredential } from '../../common/src/link-credential.ts'
import { healthMessage, linkStatus, linkTrouble } from '../../common/src/link-health.ts'
import type { Log } from '../../common/src/log.ts'
import type { Health } from '../../common/src/status-server.ts'
import { type MirrorNews, MirrorThread } from './mirror/mirror-thread.ts'
import { OutputLog } from './output-log.ts'
import { PackageCache } from './packages/package-cache.ts'
import { PREVIEW_TIMINGS, type PreviewTimings } from './preview-timings.ts'
import { placesOf } from './run/environment.ts'
import { Runner, type RunStatus } from './run/runner.ts'
import type { PreviewSettings } from './settings.ts'

export type PreviewOptions = {
  readonly settings: PreviewSettings
  readonly log: Log
  readonly timings?: Partial<PreviewTimings>
}

/** Where a branch's working tree stands below the team's shared files. */
export const treeOf = (branch: PreviewBranch): string =>
  path.posix.relative(
    TEAM_FILES.shared,
    branch === 'workspace' ? TEAM_FILES.workspace : path.posix.join(TEAM_FILES.previews, branch),
  )

/**
 * One generation of a preview: opens the link, is told branch and port, keeps a copy of the branch's working tree in step and runs the project in it,
 * until it is stopped or the control plane does not want it any more. A link that is lost stops nothing.
 */
export class PreviewProgram implements ContainerProgram {
  readonly #settings: PreviewSettings
  readonly #log: Log
  readonly #timings: PreviewTimings
  readonly #link: LinkClient<'welcome-preview'>
  readonly #output: OutputLog
  readonly #startedAt = performance.now()
  readonly #ended = Promise.withResolvers<number>()
  readonly #timers: NodeJS.Timeout[] = []
  #branch: PreviewBranch | undefined
  #port: number | undefined
  #mirror: MirrorThread | undefined
  #runner: Runner | undefined
  #packages: PackageCache | undefined
  #report: PreviewReport = { phase: 'mirroring' }
  #mirrored: object | undefined
  /** Why there is no copy of the tree, or an old one. */
  #mirrorProblem: string | undefined
  #missingSince: number | undefined
  #leftOut = ''
  #ending = false
  #stoppedAt: number | undefined

  constructor({ settings, log, timings }: PreviewOptions) {
    this.#settings = settings
    this.#log = log
    this.#timings = { ...PREVIEW_TIMINGS, ...timings }
    this.#link = new LinkClient(
      settings.linkUrl,
      new LinkCredential(settings.environment, settings.ticket),
      'welcome-preview',
      {
        welcome: (message) => this.#welcome(message),
        order: (message) => this.#order(message),
        lost: (why) => {
          this.#output.linkDown()
          this.#log('WARN', 'The link was lost', { why })
        },
        refused: (reason) => this.#finish({ exitCode: EXIT.refused, reason }, false),
      },
      this.#timings,
    )
    this.#output = new OutputLog(
      {
        send: (message) => this.#link.send(message),
        stalled: (why) => this.#link.reopen(why),
        progressed: () => this.#link.healthy(),
      },
      this.#timings.ackMs,
    )
  }

  run(): Promise<number> {
    this.#link.open()
    this.#timers.push(setInterval(() => this.#tellHealth(), this.#timings.healthEveryMs))
    return this.#ended.promise.finally(() => this.#timers.forEach(clearTimeout))
  }

  /** SIGTERM: ends the dev server, tells so, ends with 0. */
  stop(): void {
    if (this.#stoppedAt !== undefined) return
    this.#stoppedAt = performance.now()
    this.#timers.push(setTimeout(() => this.#ended.resolve(0), this.#timings.stopDeadlineMs))
    this.#finish({ exitCode: 0, reason: 'The preview was stopped' }, true)
  }

  /** Of the container, not of the project: a repository that cannot be run is no reason to replace its container. */
  health(): Health {
    const trouble = linkTrouble(this.#link, this.#timings.linkDownUnhealthyMs)
    if (trouble) return trouble
    return { status: 'healthy', detail: this.#report.phase }
  }

  status(): object {
    return {
      environment: this.#settings.environment,
      branch: this.#branch,
      port: this.#port,
      uptimeSeconds: Math.round((performance.now() - this.#startedAt) / 1000),
      pid: process.pid,
      link: linkStatus(this.#link),
      report: this.#report,
      mirror: this.#mirrored,
      mirrorProblem: this.#mirrorProblem,
      output: {
        bytesAcknowledged: this.#output.buffer.base,
        bytesPending: this.#output.buffer.pending,
        bytesLeftOut: this.#output.leftOutBytes,
      },
      health: this.health(),
    }
  }

  #welcome({ branch, port, acknowledged }: WelcomePreview): void {
    this.#output.linkUp(acknowledged)
    if (this.#branch === undefined && !this.#ending) {
      this.#log('INFO', 'The link is up', { branch, port })
      this.#begin(branch, port)
    } else this.#log('INFO', 'The link is up again')
    this.#link.send({ action: 'link', type: 'preview', ...this.#report })
  }

  #order(order: LinkOrder): void {
    switch (order.type) {
      case 'ack':
        this.#output.acknowledged(order.offset)
        break
      case 'dismissed':
        this.#finish({ exitCode: EXIT.refused, reason: `Dismissed: ${order.reason}` }, false)
        break
      default:
        this.#log('WARN', 'The control plane sent an order for another kind of container', { type: order.type })
    }
  }

  #begin(branch: PreviewBranch, port: number): void {
    this.#branch = branch
    this.#port = port
    const { shared, disk, cache, home, path: base, machine, host } = this.#settings
    const places = placesOf(disk)
    const source = path.join(shared, treeOf(branch))
    const packages = new PackageCache({
      kept: cache,
      working: places.cache,
      say: (text) => this.#output.say(text),
      log: this.#log,
    })
    this.#packages = packages
    this.#runner = new Runner({
      source,
      surroundings: { places, home, path: base, machine, host, port },
      timings: this.#timings,
      packages,
      report: (status) => this.#reported(status),
      output: (bytes) => this.#output.take(bytes),
      say: (text) => this.#output.say(text),
    })
    this.#mirror = new MirrorThread({ source, target: places.tree, staging: places.staging }, this.#timings, {
      news: (news) => this.#news(news),
      failed: (error) => {
        this.#log('ERROR', 'The mirror has a fault', { error: error.stack ?? error.message })
        this.#finish({ exitCode: EXIT.internal, reason: `The working tree cannot be copied: ${error.message}` }, true)
      },
    })
  }

  #news(news: MirrorNews): void {
    if (this.#ending) return
    if (news.type === 'pass') {
      const { pass } = news
      const { changed, removed, leftOut, entries, scanMs, applyMs, postponed } = pass
      if (this.#mirrorProblem !== undefined || this.#mirrored === undefined)
        this.#output.say(`${entries} files and directories of the working tree are copied`)
      this.#mirrorProblem = undefined
      this.#missingSince = undefined
      this.#mirrored = { entries, scanMs, applyMs, postponed, changed: changed.length, removed: removed.length }
      const named = leftOut.join('; ')
      if (named !== this.#leftOut && named !== '') this.#output.say(`Not copied: ${named}`)
      this.#leftOut = named
      this.#runner?.passed(pass)
      return
    }
    this.#missingSince ??= performance.now()
    const late = !news.missing || performance.now() - this.#missingSince > this.#timings.treePatienceMs
    const why = news.missing && late ? `${news.why}: workspace sync says why` : news.why
    if (why === this.#mirrorProblem) return
    this.#mirrorProblem = why
    this.#output.say(why)
    // What runs already goes on with what it has.
    if (this.#mirrored === undefined)
      this.#reported({ phase: late ? 'failed' : 'mirroring', reason: why, lines: false })
  }

  #reported(status: RunStatus): void {
    if (this.#ending) return
    const { phase, projectType, command, reason, lines } = status
    const lastLines = lines ? this.#output.lastLines : []
    this.#report = {
      phase,
      ...(projectType === undefined ? {} : { projectType }),
      ...(command === undefined ? {} : { command: command.slice(0, PREVIEW_REPORT_MAX.command) }),
      ...(reason === undefined ? {} : { reason: reason.slice(0, PREVIEW_REPORT_MAX.reason) }),
      ...(lastLines.length === 0 ? {} : { lastLines }),
    }
    this.#log('INFO', 'The preview has got on', { phase, projectType, reason })
    this.#link.send({ action: 'link', type: 'preview', ...this.#report })
    this.#tellHealth()
  }

  #tellHealth(): void {
    this.#sendHealth().catch((error: unknown) => this.#log('ERROR', 'Health was not told', { error: String(error) }))
  }

  /** Healthy when the port answers, unhealthy when nothing will without a change; in between nothing is said. */
  async #sendHealth(): Promise<void> {
    if (this.#ending) return
    const { phase, reason } = this.#report
    if (phase !== 'ready' && phase !== 'failed') return
    const answers = phase === 'ready' && ((await this.#runner?.answers()) ?? false)
    if (this.#ending || this.#report.phase !== phase) return
    const detail = answers || phase === 'failed' ? reason : `Nothing answers on port ${this.#port}`
    this.#link.send(
      healthMessage({ status: answers ? 'healthy' : 'unhealthy', ...(detail === undefined ? {} : { detail }) }),
    )
  }

  #finish(outcome: Outcome, tell: boolean): void {
    if (this.#ending) return
    this.#ending = true
    this.#log('INFO', 'The preview is ending', { exitCode: outcome.exitCode, reason: outcome.reason })
    this.#goodbye(outcome, tell)
      .catch((error: unknown) => this.#log('ERROR', 'The end was not orderly', { error: String(error) }))
      .finally(() => this.#ended.resolve(outcome.exitCode))
  }

  async #goodbye(outcome: Outcome, tell: boolean): Promise<void> {
    await Promise.all([this.#mirror?.stop(), this.#runner?.stop(), this.#packages?.stop()])
    const drained = this.#output.finish()
    if (!tell) {
      await this.#link.close()
      return
    }
    const stopLeft =
      this.#stoppedAt === undefined
        ? Number.POSITIVE_INFINITY
        : this.#timings.stopDeadlineMs - this.#timings.closeMs - (performance.now() - this.#stoppedAt)
    const deadline = performance.now() + Math.min(this.#timings.drainMs, stopLeft)
    const left = () => deadline - performance.now()
    await within(left(), drained)
    if (!(await tellExit(this.#link, outcome, left))) this.#log('WARN', 'The exit message may not have arrived')
  }
}
