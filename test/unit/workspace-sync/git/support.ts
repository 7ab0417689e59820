/** A team's root, a remote on the same machine, agents in the workspace and a human with a clone. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type {
  Author,
  WorkspaceSync,
  WorkspaceSyncOptions,
} from '../../../../container-images/workspace-sync/src/git/types.ts'
import { createWorkspaceSync } from '../../../../container-images/workspace-sync/src/git/workspace-sync.ts'
import type { SyncReport } from '../../../../shared/contracts/link.ts'

const PERSON = {
  GIT_AUTHOR_NAME: 'Ada',
  GIT_AUTHOR_EMAIL: 'ada@example.com',
  GIT_COMMITTER_NAME: 'Ada',
  GIT_COMMITTER_EMAIL: 'ada@example.com',
}

/** Runs git as a person or an agent would, with nothing of this machine's own configuration. Answers what it printed, trimmed. */
export function git(cwd: string, ...args: string[]): string {
  return execFileSync('git', args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
    env: { PATH: process.env.PATH, HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1', ...PERSON },
  }).trim()
}

export function write(folder: string, files: Readonly<Record<string, string | Buffer>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
    writeFileSync(path.join(folder, name), content)
  }
}

export class Team {
  readonly base = mkdtempSync(path.join(tmpdir(), 'workspace-sync-'))
  readonly root = path.join(this.base, 'team')
  readonly workspace = path.join(this.root, 'shared/workspace')
  readonly sync = path.join(this.root, 'sync')
  readonly remote = path.join(this.base, 'remote.git')
  readonly human = path.join(this.base, 'human')
  readonly reports: SyncReport[] = []
  readonly log: string[] = []
  authors: readonly Author[] = []
  authorsAsked: Date[] = []
  now = new Date('2025-01-31T12:00:00Z')
  environment: Record<string, string> = { GIT_ALLOW_PROTOCOL: 'file' }
  #abort = new AbortController()

  constructor() {
    mkdirSync(this.root)
  }

  /** A remote with these files on `main`, and a human's clone of it. */
  withRemote(files: Readonly<Record<string, string | Buffer>> = { 'README.md': 'readme\n' }): this {
    this.withEmptyRemote()
    git(this.base, 'clone', '--quiet', this.remote, 'human')
    write(this.human, files)
    this.commit('first')
    return this
  }

  withEmptyRemote(): this {
    git(this.base, 'init', '--quiet', '--bare', '--initial-branch=main', 'remote.git')
    return this
  }

  /** The human commits everything and pushes. */
  commit(message: string): string {
    git(this.human, 'add', '--all')
    git(this.human, 'commit', '--quiet', '--allow-empty', '-m', message)
    git(this.human, 'push', '--quiet', 'origin', 'HEAD')
    return git(this.human, 'rev-parse', 'HEAD')
  }

  options(changes: Partial<WorkspaceSyncOptions> = {}): WorkspaceSyncOptions {
    return {
      root: this.root,
      repository: existsSync(this.remote)
        ? { url: `file://${this.remote}`, gitEnvironment: async () => this.environment }
        : undefined,
      authors: async (since) => {
        this.authorsAsked.push(since)
        return this.authors
      },
      report: (report) => void this.reports.push(report),
      clock: { now: () => this.now },
      log: (level, message, fields) => void this.log.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
      signal: this.#abort.signal,
      ...changes,
    }
  }

  create(changes: Partial<WorkspaceSyncOptions> = {}): WorkspaceSync {
    return createWorkspaceSync(this.options(changes))
  }

  /** A sync that is prepared. */
  async start(changes: Partial<WorkspaceSyncOptions> = {}): Promise<WorkspaceSync> {
    const sync = this.create(changes)
    await sync.prepare()
    return sync
  }

  get report(): SyncReport {
    const report = this.reports.at(-1)
    if (!report) throw new Error('Nothing was reported')
    return report
  }

  /** A file of the working tree; undefined when there is none. */
  read(name: string): string | undefined {
    const file = path.join(this.workspace, name)
    return existsSync(file) ? readFileSync(file, 'utf8') : undefined
  }

  /** A file at the remote. */
  atRemote(name: string, branch = 'main'): string | undefined {
    try {
      return execFileSync('git', ['--git-dir', this.remote, 'show', `${branch}:${name}`], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      })
    } catch {
      return undefined
    }
  }

  branches(): string[] {
    return git(this.remote, 'for-each-ref', '--format=%(refname:short)', 'refs/heads').split('\n').filter(Boolean)
  }

  rescues(): string[] {
    return this.branches().filter((name) => name.startsWith('covibes/rescue/'))
  }

  files(folder = this.workspace): string[] {
    return readdirSync(folder)
      .filter((name) => name !== '.git')
      .sort()
  }

  /** An agent's `git`, in the workspace. */
  agent(...args: string[]): string {
    return git(this.workspace, ...args)
  }

  end(): void {
    this.#abort.abort()
    rmSync(this.base, { recursive: true, force: true })
  }
}
