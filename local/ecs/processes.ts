import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/**
 * When a process started, as a text that is only good for comparing: a process id may be used again, together with its
 * start it is not. Undefined when there is no such process.
 */
export async function processStart(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') {
    const stat = await readProc(`/proc/${pid}/stat`)
    // The command's name, in brackets, may hold spaces; the start time is the 20th field after it.
    const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields?.[0] === 'Z' ? undefined : fields?.[19]
  }
  try {
    const { stdout } = await run('ps', ['-o', 'lstart=', '-p', String(pid)])
    return stdout.trim() || undefined
  } catch {
    // ps exits with 1 when there is no such process.
    return undefined
  }
}

async function readProc(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'latin1')
  } catch {
    // It ended meanwhile, or is another user's.
    return undefined
  }
}

/**
 * The processes, other than this one, whose environment holds any of these `NAME=value`. It finds those that left their
 * process group, as every child of a pseudoterminal does. Linux only; empty elsewhere.
 */
export async function processesWithEnvironment(assignments: readonly string[]): Promise<number[]> {
  if (process.platform !== 'linux') return []
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const found = await Promise.all(
    pids.map(async (pid) => {
      if (pid === process.pid) return undefined
      const environment = await readProc(`/proc/${pid}/environ`)
      return environment?.split('\0').some((each) => assignments.includes(each)) ? pid : undefined
    }),
  )
  return found.filter((pid) => pid !== undefined)
}

/** Sends a signal to a process, or to a group when the id is negative. True when there was one to get it. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    process.kill(pid, name)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ESRCH' || code === 'EPERM') return false
    throw error
  }
}

/**
 * Kills what is left of a container when its first process has ended, as a container's end takes all its processes with
 * it: its process group, and whoever carries one of its marks in the environment. Gives back those that do not end.
 */
export async function killRemains(group: number, marks: readonly string[]): Promise<number[]> {
  signal(-group, 'SIGKILL')
  return killMarked(marks)
}

/** How often it is looked again, and the time between. */
const MAX_ROUNDS = 200
const ROUND_MS = 10

/**
 * Kills everyone who carries a mark, and waits until they are gone: a process may fork while its fellows are being
 * found, and takes a moment to die. Gives back those that will not, which only a process in the kernel's hands does.
 */
async function killMarked(marks: readonly string[]): Promise<number[]> {
  const dying = new Set<number>()
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    for (const pid of await processesWithEnvironment(marks)) {
      signal(pid, 'SIGKILL')
      dying.add(pid)
    }
    for (const pid of dying) if ((await processStart(pid)) === undefined) dying.delete(pid)
    if (dying.size === 0) return []
    await setTimeout(ROUND_MS)
  }
  return [...dying]
}

/** A process that may have outlived the runtime that started it. */
export interface RecordedProcess {
  readonly pid: number
  /** `processStart` of it; undefined when it had ended before that could be read. */
  readonly start: string | undefined
  /** See `processesWithEnvironment`. */
  readonly marks: readonly string[]
}

/**
 * Kills a recorded process with its group and everything that carries a mark of its; never another with the same id. Rejects
 * when some do not end.
 */
export async function killRecorded(recorded: RecordedProcess): Promise<void> {
  if (recorded.start !== undefined && (await processStart(recorded.pid)) === recorded.start) {
    signal(-recorded.pid, 'SIGKILL')
    signal(recorded.pid, 'SIGKILL')
  }
  const left = await killMarked(recorded.marks)
  if (left.length > 0) throw new Error(`The processes ${left.join(', ')} of an earlier run do not end`)
}
