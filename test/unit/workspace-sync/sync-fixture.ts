import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { WorkspaceSync, WorkspaceSyncOptions } from '../../../container-images/workspace-sync/src/git/types.ts'
import type { SyncSettings } from '../../../container-images/workspace-sync/src/settings.ts'
import { SyncProgram, type SyncProgramOptions } from '../../../container-images/workspace-sync/src/sync-program.ts'
import type { SyncTimings } from '../../../container-images/workspace-sync/src/sync-timings.ts'
import { TEAM_FILES } from '../../../shared/contracts/link.ts'

/** Waits as short as a test on one machine can have them; rounds only when they are asked for. */
export const QUICK: Partial<SyncTimings> = {
  welcomeMs: 2_000,
  backoffMinMs: 2,
  backoffMaxMs: 20,
  closeMs: 1_000,
  soonMs: 5,
  roundEveryMs: 60_000,
  prepareMinMs: 5,
  prepareMaxMs: 5,
}

const directories: string[] = []

/** Directories made for tests so far are removed. */
export async function removeDirectories(): Promise<void> {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true })
}

/** A team's root with an empty working tree. */
export async function makeTeam(): Promise<{ root: string; workspace: string }> {
  const root = await mkdtemp(path.join(tmpdir(), 'covibes-team-'))
  directories.push(root)
  const workspace = path.join(root, TEAM_FILES.workspace)
  await mkdir(workspace, { recursive: true })
  return { root, workspace }
}

/** An engine that does what the test says and notes what it was asked for. */
export class FakeEngine implements WorkspaceSync {
  readonly calls: string[] = []
  readonly #waiting: { readonly count: number; readonly resolve: () => void }[] = []
  options: WorkspaceSyncOptions | undefined
  onPrepare: (againWithinMs?: number) => Promise<void> = async () => undefined
  onRound: () => Promise<void> = async () => undefined
  onFinish: (deadline: Date) => Promise<void> = async () => undefined
  onBranch: string | undefined = 'trunk'
  /** What branches it was told to keep for previews, newest last. */
  readonly previews: (readonly string[])[] = []

  create = (options: WorkspaceSyncOptions): WorkspaceSync => {
    this.options = options
    return this
  }

  /** What the program gave to the engine. */
  get given(): WorkspaceSyncOptions {
    if (!this.options) throw new Error('The engine was not created')
    return this.options
  }

  /** Resolves when the program has called the engine so many times. */
  called(count: number): Promise<void> {
    if (this.calls.length >= count) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ count, resolve }))
  }

  prepare = async (againWithinMs?: number): Promise<void> => {
    this.#note('prepare')
    await this.onPrepare(againWithinMs)
  }

  round = async (): Promise<void> => {
    this.#note('round')
    await this.onRound()
  }

  finish = async (deadline: Date): Promise<void> => {
    this.#note('finish')
    await this.onFinish(deadline)
  }

  #note(call: string): void {
    this.calls.push(call)
    for (const { count, resolve } of this.#waiting) if (this.calls.length >= count) resolve()
  }

  setPreviewBranches = (branches: readonly string[]): void => {
    this.previews.push(branches)
  }

  branch = (): string | undefined => this.onBranch
}

export type RunningSync = {
  readonly program: SyncProgram
  readonly engine: FakeEngine
  readonly root: string
  readonly workspace: string
  /** The container's exit code. */
  readonly code: Promise<number>
  readonly logged: string[]
}

/** Starts workspace sync in this process, with an engine that can be told what to do, against a control plane at `url`. */
export async function startSync(
  url: string,
  { timings, engine = new FakeEngine(), ...options }: Partial<SyncProgramOptions> & { engine?: FakeEngine } = {},
): Promise<RunningSync> {
  const { root, workspace } = await makeTeam()
  const settings: SyncSettings = {
    environment: 'team-1/record-1/1',
    ticket: 'ticket',
    linkUrl: url,
    teamRoot: root,
    port: 0,
    host: '127.0.0.1',
    home: root,
    path: process.env.PATH ?? '/usr/bin:/bin',
  }
  const logged: string[] = []
  const program = new SyncProgram({
    settings,
    log: (level, message, fields) => logged.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
    createEngine: engine.create,
    ...options,
    timings: { ...QUICK, ...timings },
  })
  return { program, engine, root, workspace, code: program.run(), logged }
}
