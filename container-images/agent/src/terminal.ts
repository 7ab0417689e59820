import { readFileSync, readSync } from 'node:fs'
import { constants } from 'node:os'
import type { ReadStream } from 'node:tty'
import { type IPty, spawn } from '@lydell/node-pty'
import { TerminalInput } from './terminal-input.ts'

export type TerminalCommand = {
  readonly file: string
  readonly args: readonly string[]
  readonly cwd: string
  /** The child's whole environment. */
  readonly env: Record<string, string>
}

export type TerminalSize = { readonly cols: number; readonly rows: number }

/** How the program ended: its code, 128 + n when signal n ended it. */
export type TerminalEnd = { readonly exitCode: number; readonly signal?: string }

export type TerminalHandlers = {
  output(bytes: Buffer): void
  /** After the last output. */
  ended(end: TerminalEnd): void
}

const signalName = (number: number): string | undefined =>
  Object.entries(constants.signals).find(([, value]) => value === number)?.[0]

/**
 * A program in a pseudo-terminal. Output comes as raw bytes, all of it before `ended`, also when the terminal was
 * paused at the program's end.
 */
export class Terminal {
  readonly #pty: IPty
  readonly #stream: ReadStream
  readonly #input: TerminalInput
  #ended = false

  /** Throws when the program cannot be started. */
  constructor(command: TerminalCommand, size: TerminalSize, handlers: TerminalHandlers) {
    const pty = spawn(command.file, [...command.args], {
      name: command.env.TERM ?? 'xterm-256color',
      cwd: command.cwd,
      env: command.env,
      ...size,
      // Raw bytes: characters are put together by who counts them.
      encoding: null,
    })
    this.#pty = pty
    this.#stream = streamOf(pty)
    this.#input = new TerminalInput(descriptorOf(pty), () => this.#stream.destroyed)
    this.#drainBeforeDestroy()
    pty.onData((data: string | Buffer) => handlers.output(Buffer.from(data)))
    pty.onExit(({ exitCode, signal }) => {
      this.#ended = true
      const name = signal ? signalName(signal) : undefined
      if (signal) handlers.ended({ exitCode: 128 + signal, ...(name ? { signal: name } : {}) })
      else handlers.ended({ exitCode })
    })
  }

  get pid(): number {
    return this.#pty.pid
  }

  get alive(): boolean {
    return !this.#ended
  }

  /** Types `data`. False when it was refused, because the program does not read. */
  write(data: string): boolean {
    return this.#input.write(data)
  }

  resize(size: TerminalSize): void {
    // The terminal is closed a moment before the program's end is reported.
    if (!this.#stream.destroyed) this.#pty.resize(size.cols, size.rows)
  }

  /** Reads no more, so that the program blocks when the kernel's buffer is full. */
  pause(): void {
    this.#pty.pause()
  }

  resume(): void {
    this.#pty.resume()
  }

  /** Sends a signal to the process group that the terminal's keys reach. */
  signalForeground(signal: NodeJS.Signals): void {
    if (!this.#ended) signalGroup(foregroundGroup(this.pid), signal)
  }

  /** Sends a signal to the program's own process group and to the one in the foreground. */
  signalAll(signal: NodeJS.Signals): void {
    if (this.#ended) return
    for (const group of new Set([foregroundGroup(this.pid), this.pid])) signalGroup(group, signal)
  }

  /**
   * node-pty destroys its stream 200 ms after the program's end, and Node does so when the kernel reports the end (EIO);
   * a paused stream would lose what it and the kernel still hold. So the rest is read out before.
   */
  #drainBeforeDestroy(): void {
    const stream = this.#stream
    const destroy = stream.destroy.bind(stream)
    let drained = false
    stream.destroy = (error?: Error) => {
      if (!drained) {
        drained = true
        while (stream.read() !== null);
        readRest(this.#pty, (bytes) => stream.emit('data', bytes))
      }
      return destroy(error)
    }
  }
}

/** node-pty's own stream, which it does not publish; checked, so that a new version that differs fails at once. */
function streamOf(pty: IPty): ReadStream {
  const stream: unknown = Reflect.get(pty, '_socket')
  if (stream && typeof Reflect.get(stream, 'destroy') === 'function') return stream as ReadStream
  throw new Error('This version of node-pty has no _socket stream')
}

/** The terminal's master, which node-pty does not publish either. */
function descriptorOf(pty: IPty): number {
  const fd: unknown = Reflect.get(pty, '_fd')
  if (typeof fd === 'number') return fd
  throw new Error('This version of node-pty has no _fd')
}

/** Reads what the kernel still holds, which is at most its own buffer because the program has ended. */
function readRest(pty: IPty, output: (bytes: Buffer) => void): void {
  const fd = descriptorOf(pty)
  const limit = 1024 * 1024
  for (let total = 0; total < limit; ) {
    const bytes = Buffer.allocUnsafe(64 * 1024)
    let length = 0
    try {
      length = readSync(fd, bytes)
    } catch {
      return // EIO: everything has been read. EAGAIN: others still hold the terminal, but it is empty.
    }
    if (length === 0) return
    total += length
    output(bytes.subarray(0, length))
  }
}

/**
 * The terminal's foreground process group, from field 8 (tpgid) of `/proc/<pid>/stat` (proc(5)); the program's own group where
 * there is no /proc or no foreground.
 */
function foregroundGroup(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // Field 2 is the command in parentheses and may itself hold spaces and parentheses.
    const tpgid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[5])
    return tpgid > 0 ? tpgid : pid
  } catch {
    return pid
  }
}

function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal)
  } catch (error) {
    // ESRCH: the group has ended in the meantime.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
