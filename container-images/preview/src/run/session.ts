/** A command in a session of its own, with everything that it starts: found and ended together. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

export type SessionEnd = { readonly code: number | null; readonly signal: NodeJS.Signals | null }

export type SessionOptions = {
  /** For `/bin/sh -c`. */
  readonly command: string
  readonly cwd: string
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>
  readonly output: (bytes: Buffer) => void
}

/** Milliseconds between two looks whether the processes have ended: those that are not our children raise no event. */
const LOOK_EVERY_MS = 50
/** From a command's end to giving up on the end of its output. */
const LAST_OUTPUT_MS = 300

export class Session {
  readonly #child: ChildProcess
  /** Resolves when the command itself has ended; never rejects. */
  readonly ended: Promise<SessionEnd>
  #over = false

  constructor({ command, cwd, env, output }: SessionOptions) {
    // Detached: setsid(2), so all that it starts is in its session and no terminal's signals reach it.
    const child = spawn('/bin/sh', ['-c', command], {
      cwd,
      env,
      detached: true,
      // A pipe that stays open: many dev servers end when their standard input does.
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#child = child
    child.stdin?.on('error', () => undefined)
    child.stdout?.on('data', output)
    child.stderr?.on('data', output)
    this.ended = new Promise<SessionEnd>((resolve) => {
      child.once('error', (error) => {
        output(Buffer.from(`${error.message}\n`))
        resolve({ code: 127, signal: null })
      })
      child.once('exit', (code, signal) => {
        // What it wrote last is still in the pipes, and what it has started may hold them open for ever.
        const late = setTimeout(() => resolve({ code, signal }), LAST_OUTPUT_MS)
        child.once('close', () => {
          clearTimeout(late)
          resolve({ code, signal })
        })
      })
    })
  }

  /** Processes of the session that are alive. */
  pids(): number[] {
    const { pid } = this.#child
    return pid === undefined ? [] : sessionMembers(pid)
  }

  /** SIGTERM to all of it, SIGKILL to what is left after `graceMs`; resolves when nothing is. */
  async end(graceMs: number): Promise<void> {
    if (this.#over) return
    this.#over = true
    const deadline = performance.now() + graceMs
    this.#signal('SIGTERM')
    while (performance.now() < deadline && this.pids().length > 0) await delay(LOOK_EVERY_MS)
    // A process may start others while it is being killed.
    for (let round = 0; round < 20 && this.pids().length > 0; round++) {
      this.#signal('SIGKILL')
      await delay(LOOK_EVERY_MS)
    }
    for (const stream of [this.#child.stdin, this.#child.stdout, this.#child.stderr]) stream?.destroy()
  }

  #signal(signal: NodeJS.Signals): void {
    for (const pid of this.pids())
      try {
        process.kill(pid, signal)
      } catch (error) {
        // It has ended since.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
      }
  }
}

/** Processes of a session, zombies not counted (proc_pid_stat(5): the fields after the name in parentheses are state, ppid, pgrp, session). */
function sessionMembers(session: number): number[] {
  const found: number[] = []
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1')
      const [state, , , id] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      if (Number(id) === session && state !== 'Z' && state !== 'X') found.push(Number(name))
    } catch {
      // It ended while it was looked at.
    }
  }
  return found
}
