import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import path from 'node:path'

/** The workspace could not be made ready; the message is for a person and holds no credential. */
export class WorkspaceError extends Error {
  override readonly name = 'WorkspaceError'
}

export type WorkspaceOptions = {
  readonly directory: string
  readonly repositoryUrl?: string | undefined
  readonly env: Record<string, string>
  readonly cloneMs: number
  readonly abort: AbortSignal
  /** Takes what is shown in the terminal. */
  readonly show: (text: string) => void
}

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]'])

/**
 * The address as git gets it, as it may be shown, and the credential part in it. Only https, ssh, and http to the same machine: git's other
 * transports run commands (`ext::`) or read local files. Throws `WorkspaceError`.
 */
export function checkRepositoryUrl(text: string): { url: string; shown: string; userinfo: string } {
  // scp-like `git@host:path` is ssh too, but not a URL.
  const scp = /^([\w.-]+@[\w.-]+):(?!\/\/)(.+)$/.exec(text)
  if (scp) return { url: text, shown: text, userinfo: '' }
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new WorkspaceError('The repository address is not a URL')
  }
  const allowed =
    url.protocol === 'https:' || url.protocol === 'ssh:' || (url.protocol === 'http:' && LOOPBACK.has(url.hostname))
  if (!allowed) throw new WorkspaceError(`Repositories are not cloned over ${url.protocol}//`)
  const shown = new URL(url)
  if (shown.protocol !== 'ssh:') shown.username = ''
  shown.password = ''
  const userinfo = shown.href === url.href ? '' : (/\/\/([^/@]*@)/.exec(text)?.[1] ?? '')
  return { url: text, shown: shown.href, userinfo }
}

/**
 * Makes the directory a git repository: cloned when it is empty and a repository is named, else initialised when it is
 * none yet. Files that are there already are never touched. Throws `WorkspaceError`.
 */
export async function prepareWorkspace(options: WorkspaceOptions): Promise<void> {
  const { directory, show } = options
  let files: string[]
  try {
    await mkdir(directory, { recursive: true })
    files = await readdir(directory)
  } catch (error) {
    throw new WorkspaceError(`The workspace cannot be used: ${(error as Error).message}`)
  }
  if (existsSync(path.join(directory, '.git'))) return
  if (options.repositoryUrl === undefined || files.length > 0) {
    if (files.length > 0 && options.repositoryUrl !== undefined)
      show('The workspace is not empty: the repository is not cloned.\n')
    await git(options, ['init', '--quiet', '-b', 'main', '.'], 30_000, {})
    return
  }
  const { url, shown, userinfo } = checkRepositoryUrl(options.repositoryUrl)
  show(`Cloning ${shown}\n`)
  const hidden = { [url]: shown, ...(userinfo === '' ? {} : { [userinfo]: '' }) }
  await git(options, ['clone', '--progress', '--', url, '.'], options.cloneMs, hidden)
}

/** Calls `take` with each line and its end, which is `\r` in progress displays; the last line may have none. */
function eachLine(stream: NodeJS.ReadableStream, take: (line: string) => void): void {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    const lines = (rest + text).split(/(?<=[\r\n])/)
    rest = /[\r\n]$/.test(lines.at(-1) ?? '') ? '' : (lines.pop() ?? '')
    for (const line of lines) take(line)
  })
  stream.on('end', () => {
    if (rest !== '') take(rest)
  })
}

/** Runs git without any way to ask a question. `hidden` maps texts with credentials to what is shown instead. */
function git(
  options: WorkspaceOptions,
  args: readonly string[],
  timeoutMs: number,
  hidden: Readonly<Record<string, string>>,
): Promise<void> {
  const child = spawn('git', args, {
    cwd: options.directory,
    stdio: ['ignore', 'pipe', 'pipe'],
    // Its own group, so that its helpers end with it.
    detached: true,
    env: {
      ...options.env,
      GIT_TERMINAL_PROMPT: '0',
      GIT_ASKPASS: 'false',
      SSH_ASKPASS: 'false',
      GIT_SSH_COMMAND: 'ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new',
      GIT_ALLOW_PROTOCOL: 'https:http:ssh',
    },
  })
  let lastLine = ''
  // By whole lines, so that no address with a credential is missed because it came in two pieces.
  const show = (line: string) => {
    let text = line
    for (const [secret, shown] of Object.entries(hidden)) text = text.replaceAll(secret, shown)
    options.show(text)
    lastLine = text.trim() || lastLine
  }
  for (const stream of [child.stdout, child.stderr]) eachLine(stream, show)
  return new Promise((resolve, reject) => {
    let killedBecause: string | undefined
    const kill = (why: string) => {
      killedBecause = why
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }
    const timer = setTimeout(() => kill(`took longer than ${timeoutMs / 1000} s`), timeoutMs)
    const abort = () => kill('was interrupted')
    options.abort.addEventListener('abort', abort, { once: true })
    const done = (problem?: string) => {
      clearTimeout(timer)
      options.abort.removeEventListener('abort', abort)
      if (problem === undefined) resolve()
      else reject(new WorkspaceError(`git ${args[0]} ${problem}`.slice(0, 400)))
    }
    child.on('error', (error) => done(`could not be started: ${error.message}`))
    child.on('close', (code) => {
      if (killedBecause !== undefined) done(killedBecause)
      else if (code === 0) done()
      else done(`failed (${code}): ${lastLine}`)
    })
  })
}
