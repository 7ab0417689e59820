/** The git engine of workspace sync: one call after the other, each bounded, each ending in a report. */
import { type FileHandle, mkdir } from 'node:fs/promises'
import type { SyncReport } from '../../../../shared/contracts/link.ts'
import { isErrno, SafeFileError } from '../safe-files/safe-file-error.ts'
import type { Engine } from './engine.ts'
import { layoutOf } from './layout.ts'
import { ROUNDS_BETWEEN_REPACKS, SINGLE_SYNC_SECONDS } from './limits.ts'
import { removeLeftBehind, repackIfNeeded } from './own-repository.ts'
import { prepareEngine } from './prepare.ts'
import { PreviewTrees } from './preview-trees.ts'
import { type RoundOutcome, runRound } from './round.ts'
import { Git, GitError } from './run-git.ts'
import { lockAgainstSecondSync } from './single-sync.ts'
import { shownSkipped } from './snapshot.ts'
import { SyncProblem, type WorkspaceSync, type WorkspaceSyncOptions } from './types.ts'
import { inWorkingTree } from './working-tree.ts'
import { makeWorkspace } from './workspace.ts'

export function createWorkspaceSync(options: WorkspaceSyncOptions): WorkspaceSync {
  const syncing = new Syncing(options)
  return {
    prepare: (againWithinMs) => syncing.prepare(againWithinMs),
    round: () => syncing.round(),
    finish: (deadline) => syncing.finish(deadline),
    setPreviewBranches: (branches) => syncing.previews.setBranches(branches),
    branch: () => syncing.branch(),
  }
}

/** What git says about a repository whose objects cannot be read. */
const BROKEN =
  /corrupt|bad object|bad tree|missing (blob|tree|commit)|unable to read|not a git repository|invalid object|loose object|unable to find|bad pack|inflate/i
const BROKEN_INDEX = /index file|bad index|bad signature|unordered stage|index uses/i

/** Rounds for which a look at all of history counts. */
const TRUSTED_ROUNDS = 20

/** The longest wait stands there, not the present one: a text that changed with each try would be news each time. */
function withNextTry(problem: string, withinMs: number | undefined): string {
  if (withinMs === undefined) return problem.slice(0, 500)
  return `${problem.slice(0, 460).replace(/\.$/, '')}. Next try within ${Math.ceil(withinMs / 1000)} s`
}

class Syncing {
  readonly previews = new PreviewTrees()
  readonly #options: WorkspaceSyncOptions
  readonly #layout: ReturnType<typeof layoutOf>
  /** Aborted to cut off what is waiting for the remote. */
  readonly #cut = new AbortController()
  #tail: Promise<void> = Promise.resolve()
  #lock: FileHandle | undefined
  #git: Git | undefined
  #engine: Engine | undefined
  #finished = false
  /** The last try to prepare failed, and members have been told why. */
  #unprepared = false
  #rounds = 0
  /** A git process may have been killed: what it left behind goes first. */
  #untidy = false
  #doubt = false
  #badIndex = false
  #trustedUntil = 0

  constructor(options: WorkspaceSyncOptions) {
    this.#options = options
    this.#layout = layoutOf(options.root)
    options.signal.addEventListener('abort', () => void this.#tail.then(() => this.#unlock()), { once: true })
  }

  prepare(againWithinMs?: number): Promise<void> {
    return this.#next(async () => {
      if (!this.#unprepared) this.#report({ state: 'preparing' })
      try {
        await mkdir(this.#layout.sync, { recursive: true })
        this.#lock ??= await lockAgainstSecondSync(this.#layout.lock, SINGLE_SYNC_SECONDS, this.#options.signal)
        this.#git ??= new Git(this.#layout.repository, this.#options.signal, this.#lock.fd)
        this.#git.limit(this.#cut.signal, Number.POSITIVE_INFINITY)
        this.#engine = await prepareEngine(
          { git: this.#git, layout: this.#layout, options: this.#options },
          this.#doubt,
        )
        this.#doubt = false
        await repackIfNeeded(this.#git)
        this.#unprepared = false
        this.#reportState(undefined)
      } catch (error) {
        const problem = this.#explain(error)
        this.#unprepared = true
        this.#report({ state: 'failed', detail: withNextTry(problem.message, againWithinMs) })
        throw problem
      }
    })
  }

  round(): Promise<void> {
    return this.#next(() => this.#round(false))
  }

  finish(deadline: Date): Promise<void> {
    this.#cut.abort()
    return this.#next(async () => {
      this.#git?.limit(this.#options.signal, deadline.getTime())
      if (this.#engine) await this.#round(true)
      this.#finished = true
      await this.#unlock()
    })
  }

  async #unlock(): Promise<void> {
    const lock = this.#lock
    this.#lock = undefined
    await lock?.close()
  }

  branch(): string | undefined {
    return this.#engine?.state.branch
  }

  #next(work: () => Promise<void>): Promise<void> {
    const run = this.#tail.then(() => {
      if (this.#finished) throw new SyncProblem('Workspace sync has ended', 'failed')
      return work()
    })
    this.#tail = run.catch(() => {})
    return run
  }

  async #round(last: boolean): Promise<void> {
    if (!this.#engine) throw new SyncProblem('The workspace is not prepared', 'failed')
    try {
      if (this.#doubt) await this.#lookAgain()
      if (this.#untidy) await this.#tidy()
      const engine = this.#engine
      if (this.#badIndex) await engine.change({ indexReady: false })
      this.#badIndex = false
      const outcome = await inWorkingTree(this.#layout, async (tree) => ({ of: await runRound(engine, tree, last) }))
      if (!outcome) {
        await makeWorkspace(engine)
        engine.told.details.add('The workspace was gone and has been made again')
      }
      this.#rounds++
      if (this.#rounds % ROUNDS_BETWEEN_REPACKS === 0 && !last) await repackIfNeeded(engine.git)
      if (!last) await this.previews.update(engine, outcome?.of !== undefined, this.#cut.signal)
      // An agent's git was at work: nothing was looked at, so there is nothing to say.
      if (outcome && !outcome.of) return
      this.#reportState(outcome?.of)
    } catch (error) {
      this.#untidy = true
      const problem = this.#explain(error)
      this.#report({ ...this.#where(), state: problem.state, detail: problem.message.slice(0, 500), ...this.#told() })
    }
  }

  async #tidy(): Promise<void> {
    await removeLeftBehind(this.#layout)
    await mkdir(this.#layout.scratch, { recursive: true })
    this.#untidy = false
  }

  async #lookAgain(): Promise<void> {
    if (!this.#git) return
    this.#engine = await prepareEngine({ git: this.#git, layout: this.#layout, options: this.#options }, true)
    this.#doubt = false
    this.#trustedUntil = this.#rounds + TRUSTED_ROUNDS
  }

  #explain(error: unknown): SyncProblem {
    const { log, signal } = this.#options
    if (signal.aborted) return new SyncProblem('Workspace sync was ended', 'failed', { cause: error })
    log('ERROR', 'Workspace sync could not go on', {
      reason: (error as Error).message,
      stderr: error instanceof GitError ? error.stderr.slice(-2000) : undefined,
      stack: error instanceof SyncProblem ? undefined : (error as Error).stack,
    })
    if (error instanceof GitError && error.state === 'failed') {
      if (BROKEN_INDEX.test(error.stderr)) this.#badIndex = true
      else if (BROKEN.test(error.stderr) && this.#rounds >= this.#trustedUntil) this.#doubt = true
    }
    if (error instanceof SyncProblem) return error
    if (isErrno(error, 'ENOSPC', 'EDQUOT') || (error instanceof SafeFileError && error.code === 'no-space'))
      return new SyncProblem('There is no space left for the workspace', 'failed', { cause: error })
    return new SyncProblem(`Workspace sync failed: ${(error as Error).message}`, 'failed', { cause: error })
  }

  #reportState(outcome: RoundOutcome | undefined): void {
    const told = this.#told()
    const detail = outcome?.problem ?? told.detail
    this.#report({
      ...this.#where(),
      state: outcome?.problem === undefined ? 'synced' : 'unpushed',
      ...told,
      ...(detail === undefined ? {} : { detail: detail.slice(0, 500) }),
    })
  }

  #where(): Pick<SyncReport, 'branch' | 'commit'> {
    const state = this.#engine?.state
    return state ? { branch: state.branch, commit: state.line } : {}
  }

  /** What happened since the last report. */
  #told(): Pick<SyncReport, 'rescued' | 'skipped' | 'detail'> {
    if (!this.#engine) return {}
    const { rescued, details, skipped } = this.#engine.told
    const names = [...rescued].slice(0, 10)
    const detail = [...details].join('. ').slice(0, 500)
    for (const name of names) rescued.delete(name)
    details.clear()
    return {
      ...(names.length > 0 ? { rescued: names } : {}),
      ...(detail === '' ? {} : { detail }),
      ...(skipped.size > 0 ? { skipped: shownSkipped(skipped, 20) } : {}),
    }
  }

  #report(report: SyncReport): void {
    if (!this.#options.signal.aborted) this.#options.report(report)
  }
}
