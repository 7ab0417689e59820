/** A team's repository on a git server of this machine, as a human with a clone of it sees it. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { GitServer } from './git-server.ts'

const IDENTITY = ['-c', 'user.name=Grace', '-c', 'user.email=grace@example.org']

export class Repository {
  readonly url: string
  readonly #server: GitServer
  readonly #directory: string
  readonly #root: string

  private constructor(server: GitServer, root: string) {
    this.#server = server
    this.#root = root
    this.#directory = server.directory('team')
    this.url = server.url('team')
  }

  /** With one commit on `main`. `credential`: what it must be shown, `user:token`. */
  static async start(files: Record<string, string | Uint8Array> = { 'README.md': '# Team\n' }, credential?: string) {
    const root = mkdtempSync(join(tmpdir(), 'covibes-git-'))
    const server = await GitServer.start({ root, ...(credential === undefined ? {} : { credential }) })
    server.create('team')
    const repository = new Repository(server, root)
    repository.push(files, 'Begin')
    return repository
  }

  #git(...args: string[]): string {
    return execFileSync('git', ['--git-dir', this.#directory, ...args], {
      encoding: 'utf8',
      stdio: 'pipe',
      maxBuffer: 64 * 1024 * 1024,
    })
  }

  /** A human's commit on a branch, made in a clone and pushed; a branch that is new begins at `main`. */
  push(files: Record<string, string | Uint8Array>, message: string, branch = 'main'): void {
    const clone = mkdtempSync(join(this.#root, 'clone-'))
    const git = (...args: string[]) => execFileSync('git', ['-C', clone, ...IDENTITY, ...args], { stdio: 'pipe' })
    git('clone', '--quiet', this.#directory, '.')
    if (this.branches().includes(branch)) git('checkout', '--quiet', branch)
    else git('checkout', '--quiet', '-B', branch)
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(clone, path)), { recursive: true })
      writeFileSync(join(clone, path), content)
    }
    git('add', '--all')
    git('commit', '--quiet', '--allow-empty', '-m', message)
    git('push', '--quiet', 'origin', branch)
    rmSync(clone, { recursive: true })
  }

  /** The text of a file at the tip of a branch; undefined: it is not there. */
  file(path: string, branch = 'main'): string | undefined {
    try {
      return this.#git('show', `refs/heads/${branch}:${path}`)
    } catch {
      return undefined
    }
  }

  /** The messages of a branch's commits, newest first, trailers included. */
  messages(branch = 'main'): string[] {
    return this.#git('log', '--format=%B%x00', `refs/heads/${branch}`)
      .split('\0')
      .map((message) => message.trim())
      .filter((message) => message !== '')
  }

  /** The text of every version of every file that a branch reaches. */
  everything(branch: string): string {
    return this.#git('log', '--patch', '--text', '--format=%B', `refs/heads/${branch}`)
  }

  branches(): string[] {
    return this.#git('for-each-ref', '--format=%(refname:short)', 'refs/heads').trim().split('\n')
  }

  async close(): Promise<void> {
    await this.#server.close()
    rmSync(this.#root, { recursive: true, force: true })
  }
}
