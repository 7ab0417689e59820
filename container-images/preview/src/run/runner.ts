import { setTimeout as delay } from 'node:timers/promises'
import type { PreviewReport } from '../../../../shared/contracts/preview-link.ts'
import type { Pass } from '../mirror/mirror.ts'
import type { PackageCache } from '../packages/package-cache.ts'
import { detectProject } from '../project/detect.ts'
import { directoryFiles } from '../project/directory-files.ts'
import { type Project, ProjectError } from '../project/types.ts'
import { nothingPage } from '../serve/pages.ts'
import { StaticServer } from '../serve/static-server.ts'
import { DevServer } from './dev-server.ts'
import type { Surroundings } from './environment.ts'
import { install, installKey, isInstalled } from './install.ts'
import { MAX_QUICK_DEATHS, type RunTimings } from './run-timings.ts'
import type { SessionEnd } from './session.ts'

/** How far it is; `reason` for a person. `lines`: what was written last belongs to it. */
export type RunStatus = Pick<PreviewReport, 'phase' | 'projectType' | 'command' | 'reason'> & {
  readonly lines: boolean
}

export type RunnerOptions = {
  /** The team's working tree: it says what the project is, its copy is what runs. */
  readonly source: string
  readonly surroundings: Surroundings
  readonly timings: RunTimings
  readonly packages: PackageCache
  readonly report: (status: RunStatus) => void
  /** What the project's processes write. */
  readonly output: (bytes: Buffer) => void
  /** A line of this program's own for the same log. */
  readonly say: (text: string) => void
}

/** What the tree asks for; the same key means that nothing needs to be started anew. */
type Plan = { readonly project: Project; readonly key: string; readonly installKey: string | undefined }

/** Sources that a process without a reloader has read at its start. */
const SOURCES = /\.(?:[cm]?[jt]sx?|json|env|ya?ml)$|(?:^|\/)\.env(?:\.[\w.-]+)?$/

/**
 * Runs the project that the copy of a working tree holds, from installing to a server on the port, and again whenever the tree asks for something
 * else or the server dies. One thing at a time: an attempt ends when the tree has changed, and the next one begins with what
 * is there then.
 */
export class Runner {
  readonly #options: RunnerOptions
  readonly #files: ReturnType<typeof directoryFiles>
  #manifests: readonly string[] = []
  #attempt = new AbortController()
  #plan: Plan | undefined
  /** The tree has changed since the attempt began, and a pass without changes has not been seen yet. */
  #quiet: PromiseWithResolvers<void> | undefined
  /** Nothing runs, so any change may help. */
  #stuck = false
  #static: StaticServer | undefined
  #server: DevServer | undefined
  #quickDeaths = 0
  #stopped = false
  #done: Promise<void> | undefined

  constructor(options: RunnerOptions) {
    this.#options = options
    this.#files = directoryFiles(options.source)
  }

  /** The mirror has made a pass; the first one begins the work. */
  passed(pass: Pass): void {
    this.#manifests = pass.manifests
    const changed = [...pass.changed, ...pass.removed]
    if (changed.length === 0) {
      if (pass.postponed === 0) this.#quiet?.resolve()
    } else if (this.#done) this.#changed(changed)
    this.#done ??= this.#run()
  }

  /** Whether the port takes connections now. */
  async answers(): Promise<boolean> {
    return this.#static !== undefined || ((await this.#server?.answers()) ?? false)
  }

  /** Ends what runs; resolves when nothing does. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#attempt.abort()
    this.#quiet?.resolve()
    await this.#done
  }

  #changed(paths: readonly string[]): void {
    const next = this.#look()
    if (next instanceof ProjectError) {
      // A server that runs is worth more than a manifest that is being written, which it could not be started with again.
      if (!this.#stuck) {
        this.#options.say(`${next.message}; what runs, goes on`)
        return
      }
    } else if (next.key !== this.#plan?.key) {
      this.#again('what is to be run has changed')
      return
    }
    if (this.#stuck) this.#again('files have changed')
    else if (this.#plan?.project.restartOnChange && paths.some((path) => SOURCES.test(path)))
      this.#again('files have changed')
    else this.#static?.changed()
  }

  #again(why: string): void {
    if (this.#attempt.signal.aborted) return
    this.#options.say(`Starting anew: ${why}`)
    this.#quiet = Promise.withResolvers<void>()
    this.#attempt.abort()
  }

  #look(): Plan | ProjectError {
    try {
      const project = detectProject(this.#files)
      const wanted = installKey(project, this.#files, this.#manifests)
      return { project, installKey: wanted, key: JSON.stringify([project, wanted]) }
    } catch (error) {
      if (error instanceof ProjectError) return error
      throw error
    }
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.#settled()
      this.#attempt = new AbortController()
      if (this.#stopped) return
      this.#stuck = false
      try {
        await this.#tryOnce(this.#attempt.signal)
      } catch (error) {
        await this.#fail(error instanceof Error ? error.message : String(error), this.#attempt.signal)
      }
    }
  }

  /** A tree that is being written, by a checkout for example, is not worth starting from. */
  async #settled(): Promise<void> {
    if (!this.#quiet) return
    const cancel = new AbortController()
    const late = delay(this.#options.timings.settleMs, undefined, { signal: cancel.signal }).catch(() => undefined)
    await Promise.race([this.#quiet.promise, late])
    cancel.abort()
    this.#quiet = undefined
  }

  async #tryOnce(signal: AbortSignal): Promise<void> {
    const plan = this.#look()
    if (plan instanceof ProjectError) {
      this.#plan = undefined
      return this.#fail(plan.message, signal)
    }
    this.#plan = plan
    const { project } = plan
    if (project.command === undefined) return this.#serveFiles(project, signal)
    if (!(await this.#install(plan, signal)) || signal.aborted) return
    await this.#serve(project, project.command, signal)
  }

  /** False when it failed and something has changed since. */
  async #install({ project, installKey: key }: Plan, signal: AbortSignal): Promise<boolean> {
    const { surroundings, timings, packages, output } = this.#options
    if (key === undefined || (await isInstalled(key, project, surroundings))) return true
    this.#report('installing', { reason: project.reason })
    await Promise.race([packages.installing(), aborted(signal)])
    if (signal.aborted) return false
    const outcome = await install(key, {
      project,
      files: this.#files,
      manifests: this.#manifests,
      surroundings,
      output,
      signal,
      limitMs: timings.installMs,
      graceMs: timings.graceMs,
    })
    if (outcome.installed) {
      packages.installed()
      return true
    }
    if (!signal.aborted) await this.#fail(outcome.reason, signal)
    return false
  }

  async #serveFiles(project: Project, signal: AbortSignal): Promise<void> {
    const { surroundings } = this.#options
    const served =
      project.files === undefined
        ? { page: nothingPage(project) }
        : { directory: `${surroundings.places.tree}/${project.files}` }
    this.#static = await StaticServer.start(served, surroundings.host, surroundings.port)
    try {
      this.#report('ready', { reason: project.reason })
      await aborted(signal)
      if (!this.#stopped) this.#static.changed()
    } finally {
      const server = this.#static
      this.#static = undefined
      await server.close()
    }
  }

  async #serve(project: Project, command: string, signal: AbortSignal): Promise<void> {
    const { surroundings, timings, output, say } = this.#options
    if (await DevServer.isTaken(surroundings))
      return this.#fail(`Port ${surroundings.port} is taken by another program, or one that was left behind`, signal)
    this.#report('starting', { reason: project.reason })
    say(`Starting the ${project.type} project: ${shown(command, surroundings)}`)
    const server = new DevServer({ project, command, surroundings, timings, output, say })
    this.#server = server
    const began = performance.now()
    try {
      const over = Promise.race([server.ended, aborted(signal)])
      const silent = (reason: string) => this.#report('starting', { reason, lines: true })
      const first = await Promise.race([over, server.untilReady(signal, silent)])
      if (first === 'ready') this.#report('ready', { reason: project.reason })
      const end = await over
      if (end === 'aborted') this.#quickDeaths = 0
      else await this.#died(end, performance.now() - began, signal)
    } finally {
      this.#server = undefined
      await server.end()
    }
  }

  async #died(end: SessionEnd, livedMs: number, signal: AbortSignal): Promise<void> {
    const { timings, say } = this.#options
    const how = describe(end)
    this.#quickDeaths = livedMs < timings.quickDeathMs ? this.#quickDeaths + 1 : 1
    if (this.#quickDeaths >= MAX_QUICK_DEATHS) {
      this.#quickDeaths = 0
      return this.#fail(`The server ended ${MAX_QUICK_DEATHS} times soon after its start, last ${how}`, signal)
    }
    const waitMs = Math.min(timings.restartMaxMs, timings.restartMinMs * 2 ** (this.#quickDeaths - 1))
    const reason = `The server ended ${how}; it is started again in ${waitMs / 1000} s`
    say(reason)
    this.#stuck = true
    this.#report('starting', { reason, lines: true })
    await delay(waitMs, undefined, { signal }).catch(() => undefined)
  }

  /** Until the tree changes. */
  async #fail(reason: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    this.#stuck = true
    this.#options.say(reason)
    this.#report('failed', { reason, lines: true })
    await aborted(signal)
  }

  #report(
    phase: RunStatus['phase'],
    { reason, lines = false }: { readonly reason: string; readonly lines?: boolean },
  ): void {
    const project = this.#plan?.project
    if (phase === 'ready' || phase === 'failed') this.#options.packages.settled()
    this.#options.report({
      phase,
      reason,
      lines,
      ...(project ? { projectType: project.type } : {}),
      ...(project?.command === undefined ? {} : { command: shown(project.command, this.#options.surroundings) }),
    })
  }
}

/** A shell gives the number of a signal plus 128; SIGKILL is 9, and the kernel's when memory is short. */
function describe({ code, signal }: SessionEnd): string {
  if (signal === 'SIGKILL' || code === 137) return 'because it was killed, perhaps for lack of memory'
  return signal === null ? `with code ${code}` : `by signal ${signal}`
}

/** A command as a person would type it. */
const shown = (command: string, { host, port }: Surroundings): string =>
  command.replaceAll('$HOST', host).replaceAll('$PORT', String(port))

function aborted(signal: AbortSignal): Promise<'aborted'> {
  if (signal.aborted) return Promise.resolve('aborted')
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve('aborted'), { once: true }))
}
