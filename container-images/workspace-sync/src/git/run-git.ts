import { type ChildProcess, spawn } from 'node:child_process'
import type { Writable } from 'node:stream'
import { isErrno } from '../safe-files/safe-file-error.ts'
import { LOCAL_MS, MAX_ERROR_BYTES, MAX_OUTPUT_BYTES, REMOTE_MS } from './limits.ts'
import { shownReason } from './shown-reason.ts'
import { SyncProblem } from './types.ts'

export type GitOptions = {
  /** A function writes as the process takes it. */
  readonly input?: Buffer | string | ((stdin: Writable) => Promise<void>) | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly index?: string | undefined
  readonly workTree?: string | undefined
  /** Exit codes that are answers; any other throws. */
  readonly codes?: readonly number[] | undefined
  readonly timeoutMs?: number | undefined
  /** Speaks to the remote: may be cut off, and its failure is the remote's. */
  readonly remote?: boolean | undefined
}

export type GitResult = { readonly code: number; readonly stdout: Buffer; readonly stderr: string }

/** A git process that failed; `message` is for members, `stderr` tells the cases apart. Neither holds a credential. */
export class GitError extends SyncProblem {
  readonly stderr: string

  constructor(message: string, state: 'unpushed' | 'failed', stderr: string) {
    super(message, state)
    this.stderr = stderr
  }
}

/** Nothing of this process's own environment but where programs are: no configuration, no questions, no tracing. */
const ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
  HOME: '/nonexistent',
  LC_ALL: 'C',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_ATTR_NOSYSTEM: '1',
  GIT_NO_LAZY_FETCH: '1',
  GIT_NO_REPLACE_OBJECTS: '1',
  GIT_TERMINAL_PROMPT: '0',
  GIT_ASKPASS: 'false',
  SSH_ASKPASS: 'false',
  GIT_ALLOW_PROTOCOL: 'https:ssh',
}

/** Milliseconds before a deadline that the remote does not get. */
const RESERVED_MS = 10_000

const NO_SPACE = /No space left on device|Disk quota exceeded|Out of diskspace/i

/** Runs git processes on sync's own repository: bounded in time and output, ended with their helpers. */
export class Git {
  readonly gitDir: string
  readonly #ends: AbortSignal
  readonly #inherit: number | undefined
  /** Cuts off processes that speak to the remote. */
  #cut: AbortSignal
  /** Epoch milliseconds at which processes end, those that speak to the remote earlier, so that there is time for what follows. */
  #deadline = Number.POSITIVE_INFINITY
  #remoteDeadline = Number.POSITIVE_INFINITY

  /** `inherit`: a descriptor that every process keeps open while it lives, itself and its helpers: the lock against a second sync. */
  constructor(gitDir: string, ends: AbortSignal, inherit?: number) {
    this.gitDir = gitDir
    this.#ends = ends
    this.#cut = ends
    this.#inherit = inherit
  }

  /** The same on another repository. */
  at(gitDir: string): Git {
    const other = new Git(gitDir, this.#ends, this.#inherit)
    other.#cut = this.#cut
    other.#deadline = this.#deadline
    other.#remoteDeadline = this.#remoteDeadline
    return other
  }

  /** Everything is to end: a failure says nothing then. */
  get ended(): boolean {
    return this.#ends.aborted
  }

  /** Waits for something of the remote's no longer than for a git process that speaks to it. */
  async waitForRemote<T>(work: Promise<T>): Promise<T> {
    const timeout = AbortSignal.timeout(Math.max(0, Math.min(REMOTE_MS, this.#remoteDeadline - Date.now())))
    const end = AbortSignal.any([this.#ends, this.#cut, timeout])
    let stop = () => {}
    const ended = new Promise<never>((_, reject) => {
      stop = () => reject(new SyncProblem('There was no time left for the remote', 'unpushed'))
      if (end.aborted) stop()
      end.addEventListener('abort', stop, { once: true })
    })
    try {
      return await Promise.race([work, ended])
    } finally {
      end.removeEventListener('abort', stop)
    }
  }

  limit(cut: AbortSignal, deadline: number): void {
    this.#cut = cut
    this.#deadline = deadline
    this.#remoteDeadline = deadline - Math.min(RESERVED_MS, Math.ceil((deadline - Date.now()) / 2))
  }

  async text(args: readonly string[], options: GitOptions = {}): Promise<string> {
    return (await this.run(args, options)).stdout.toString('utf8').trim()
  }

  /** Throws `GitError`, or `SyncProblem` when there was no time. */
  run(args: readonly string[], options: GitOptions = {}): Promise<GitResult> {
    const deadline = options.remote ? this.#remoteDeadline : this.#deadline
    const budget = Math.min(options.timeoutMs ?? (options.remote ? REMOTE_MS : LOCAL_MS), deadline - Date.now())
    const signals = options.remote ? [this.#ends, this.#cut] : [this.#ends]
    const state = options.remote ? 'unpushed' : 'failed'
    if (budget <= 0 || signals.some((signal) => signal.aborted))
      return Promise.reject(new SyncProblem(`There was no time left for git ${args[0]}`, state))
    const child = spawn('git', args, {
      cwd: options.workTree ?? '/',
      // Its own process group, so that its helpers end with it.
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe', this.#inherit ?? 'ignore'],
      env: {
        ...ENVIRONMENT,
        GIT_DIR: this.gitDir,
        ...(options.index === undefined ? {} : { GIT_INDEX_FILE: options.index }),
        ...(options.workTree === undefined ? {} : { GIT_WORK_TREE: options.workTree }),
        ...options.env,
      },
    })
    return finished(child, args[0] ?? '', options, { budget, signals, state })
  }
}

type Limits = {
  readonly budget: number
  readonly signals: readonly AbortSignal[]
  readonly state: 'unpushed' | 'failed'
}

async function finished(child: ChildProcess, command: string, options: GitOptions, limits: Limits): Promise<GitResult> {
  const { stdin, stdout, stderr } = child
  if (!stdin || !stdout || !stderr) throw new Error('git was started without pipes')
  const output: Buffer[] = []
  let outputBytes = 0
  let errors = ''
  let killed: string | undefined
  const kill = (why: string) => {
    killed ??= why
    if (child.pid === undefined) return
    try {
      process.kill(-child.pid, 'SIGKILL')
    } catch {
      // It has ended by itself.
    }
  }
  stdout.on('data', (chunk: Buffer) => {
    outputBytes += chunk.length
    if (outputBytes > MAX_OUTPUT_BYTES) kill('said too much')
    else output.push(chunk)
  })
  stderr.setEncoding('utf8')
  stderr.on('data', (text: string) => {
    errors = (errors + text).slice(-MAX_ERROR_BYTES)
  })
  const timer = setTimeout(() => kill(`took longer than ${Math.ceil(limits.budget / 1000)} s`), limits.budget)
  const abort = () => kill('was interrupted')
  for (const signal of limits.signals) signal.addEventListener('abort', abort, { once: true })
  const closed = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  // Its early end shows in its exit code.
  stdin.on('error', () => {})
  const unwritten = write(stdin, options.input).then(
    () => undefined,
    (error: Error) => {
      // It has ended, and its exit code says why.
      if (isErrno(error, 'EPIPE')) return undefined
      kill('got no more input')
      return error
    },
  )
  const fail = (message: string, text = '') => new GitError(message.slice(0, 400), limits.state, text)
  let code: number | null
  try {
    code = await closed
  } catch (error) {
    throw fail(`git could not be started: ${(error as Error).message}`)
  } finally {
    clearTimeout(timer)
    for (const signal of limits.signals) signal.removeEventListener('abort', abort)
  }
  const text = withoutSecrets(errors, options.env)
  const reason = await unwritten
  if (reason) throw reason
  if (killed !== undefined) throw fail(`git ${command} ${killed}`, text)
  if (code !== null && (options.codes ?? [0]).includes(code))
    return { code, stdout: Buffer.concat(output, outputBytes), stderr: text }
  if (NO_SPACE.test(text)) throw new GitError('There is no space left for the workspace', 'failed', text)
  throw fail(`git ${command}: ${shownReason(text) || `ended with ${code}`}`, text)
}

async function write(stdin: Writable, input: GitOptions['input']): Promise<void> {
  if (typeof input === 'function') await input(stdin)
  else if (input !== undefined) stdin.write(input)
  stdin.end()
}

/** Values that were given for this process alone, and user names in URLs, do not leave it. */
function withoutSecrets(text: string, env: GitOptions['env']): string {
  let shown = text
  for (const value of Object.values(env ?? {})) {
    for (const part of [value, ...value.split(/\s+/)]) if (part.length >= 8) shown = shown.replaceAll(part, '***')
  }
  return shown.replace(/:\/\/[^/\s@']*@/g, '://')
}
