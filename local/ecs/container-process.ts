import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:os'
import { type LineSplitter, splitLines } from './lines.ts'
import { killRemains, processStart, signal } from './processes.ts'

/** What a container's process is started with. */
export interface ContainerProcessOptions {
  /** Program and arguments. */
  readonly command: readonly string[]
  readonly directory: string
  /** The whole environment; nothing of this process's own is added. */
  readonly environment: Readonly<Record<string, string>>
  /** Those `NAME=value` in `environment` by which all its processes are found again. */
  readonly marks: readonly string[]
  readonly onLine: (line: string, stream: 'stdout' | 'stderr') => void
}

/** A container that runs as a process. */
export interface ContainerProcess {
  /** The process's id, which is its group's too. */
  readonly pid: number
  /** See `processStart`. */
  readonly start: string | undefined
  /**
   * Resolves with the exit code when the process, and all it started, are gone: 128 + n after signal n, so 137 after
   * SIGKILL and 143 after SIGTERM.
   */
  readonly exited: Promise<number>
  /** SIGTERM to the process, and SIGKILL to all of the container when it has not ended `timeoutMs` later. */
  stop(timeoutMs: number): Promise<void>
  /** SIGKILL to the process; the rest of the container goes with it. */
  kill(): Promise<void>
}

/** How long output is awaited after the end, should someone else still hold the pipe. */
const OUTPUT_GRACE_MS = 1_000

/**
 * Starts a container's process as leader of a new session and group. Rejects when the program cannot be executed.
 */
export async function startContainerProcess(options: ContainerProcessOptions): Promise<ContainerProcess> {
  const [program = '', ...args] = options.command
  const child = spawn(program, args, {
    cwd: options.directory,
    env: { ...options.environment },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exit = new Promise<number>((resolve) => {
    child.once('exit', (code, name) => resolve(code ?? 128 + (name ? constants.signals[name] : 0)))
  })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', reject)
  })
  const pid = child.pid as number
  const output = captureOutput(child, options)
  const exited = exit.then(async (code) => {
    const left = await killRemains(pid, options.marks)
    if (left.length > 0) options.onLine(`The processes ${left.join(', ')} of the container do not end`, 'stderr')
    await output.drained()
    return code
  })

  async function stop(timeoutMs: number): Promise<void> {
    signal(pid, 'SIGTERM')
    const timer = setTimeout(() => signal(-pid, 'SIGKILL'), timeoutMs)
    await exit
    clearTimeout(timer)
    await exited
  }

  return {
    pid,
    start: await processStart(pid),
    exited,
    stop,
    kill: async () => {
      signal(pid, 'SIGKILL')
      await exited
    },
  }
}

function captureOutput(child: ChildProcess, options: ContainerProcessOptions): { drained(): Promise<void> } {
  const stdout = capture(child.stdout, (line) => options.onLine(line, 'stdout'))
  const stderr = capture(child.stderr, (line) => options.onLine(line, 'stderr'))
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
  return {
    async drained() {
      let timer: NodeJS.Timeout | undefined
      const grace = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, OUTPUT_GRACE_MS)
      })
      await Promise.race([closed, grace])
      clearTimeout(timer)
      stdout.end()
      stderr.end()
      child.stdout?.destroy()
      child.stderr?.destroy()
    },
  }
}

function capture(stream: ChildProcess['stdout'], onLine: (line: string) => void): LineSplitter {
  const lines = splitLines(onLine)
  stream?.on('data', (chunk: Buffer) => lines.push(chunk))
  return lines
}
