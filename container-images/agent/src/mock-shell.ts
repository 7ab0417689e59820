import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'

export type MockShellPorts = {
  /** Resolves when the text has been taken. */
  print(text: string): Promise<void>
  /** The directory that `write` stays in. */
  readonly workspace: string
}

/** Most bytes one `flood` prints. */
export const MAX_FLOOD_BYTES = 1024 * 1024 * 1024
/** Most memory one `memory` takes: Fargate's largest task has 120 GB, ours less. */
const MAX_HELD_MIB = 32 * 1024
const FLOOD_LINE_BYTES = 64
const HELP = `exit [N]         end with code N
sleep SECONDS    wait
flood BYTES      print that many bytes of numbered lines
clock COUNT MS   print the time (ms since the epoch) COUNT times, MS apart
write PATH TEXT  write a file in the workspace
memory MIB       hold that much memory until the end
help             this
Join commands with ";". Ctrl-C interrupts, Ctrl-D ends.
`

/**
 * Exactly `bytes` bytes of numbered lines of 64, with characters of two, three and four bytes in them, so that lost,
 * doubled, disordered and split output can be seen. Yields about 16 KiB at a time.
 */
export function* floodText(bytes: number): Generator<string> {
  let piece = ''
  for (let line = 0, left = bytes; left > 0; line++) {
    const size = Math.min(left, FLOOD_LINE_BYTES)
    const start = `${String(line).padStart(10, '0')} é … 🙂 `
    const filler = size - Buffer.byteLength(start) - 1
    piece += filler >= 0 ? `${start}${'.'.repeat(filler)}\n` : `${'.'.repeat(size - 1)}\n`
    left -= size
    if (piece.length >= 16 * 1024 || left === 0) {
      yield piece
      piece = ''
    }
  }
}

/** Resolves after `ms`, or at once when interrupted. */
function pause(ms: number, abort: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms)
    function done() {
      clearTimeout(timer)
      abort.removeEventListener('abort', done)
      resolve()
    }
    abort.addEventListener('abort', done)
    if (abort.aborted) done()
  })
}

/** The commands of the `mock` agent. */
export class MockShell {
  readonly #ports: MockShellPorts
  readonly #held: Buffer[] = []

  constructor(ports: MockShellPorts) {
    this.#ports = ports
  }

  /** Carries out a line of commands joined with `;`. Resolves with the exit code when one of them ends the shell. */
  async run(line: string, abort: AbortSignal): Promise<number | undefined> {
    for (const command of line.split(';')) {
      if (abort.aborted) return undefined
      const code = await this.#command(command.trim(), abort)
      if (code !== undefined) return code
    }
    return undefined
  }

  async #command(command: string, abort: AbortSignal): Promise<number | undefined> {
    const [name = '', ...words] = command.split(/\s+/)
    const print = this.#ports.print
    switch (name) {
      case '':
        return undefined
      case 'exit':
        return this.#exit(words[0] ?? '0')
      case 'sleep': {
        const seconds = Number(words[0])
        if (!(seconds >= 0 && seconds <= 86_400)) await print('sleep: give seconds from 0 to 86400\n')
        else await pause(seconds * 1000, abort)
        return undefined
      }
      case 'flood':
        await this.#flood(Number(words[0]), abort)
        return undefined
      case 'clock':
        await this.#clock(Number(words[0]), Number(words[1]), abort)
        return undefined
      case 'write':
        await this.#write(words[0] ?? '', command.replace(/^write\s+\S+\s?/, ''))
        return undefined
      case 'memory':
        await this.#hold(Number(words[0]), abort)
        return undefined
      case 'help':
        await print(HELP)
        return undefined
      default:
        await print(`you said: ${command}\n`)
        return undefined
    }
  }

  async #exit(text: string): Promise<number | undefined> {
    const code = Number(text)
    if (Number.isInteger(code) && code >= 0 && code <= 255) return code
    await this.#ports.print('exit: give a code from 0 to 255\n')
    return undefined
  }

  async #flood(bytes: number, abort: AbortSignal): Promise<void> {
    if (!Number.isInteger(bytes) || bytes < 0 || bytes > MAX_FLOOD_BYTES)
      return this.#ports.print(`flood: give bytes from 0 to ${MAX_FLOOD_BYTES}\n`)
    for (const piece of floodText(bytes)) {
      if (abort.aborted) return
      await this.#ports.print(piece)
    }
  }

  async #clock(count: number, everyMs: number, abort: AbortSignal): Promise<void> {
    if (!(Number.isInteger(count) && count >= 0 && count <= 10_000 && everyMs >= 0 && everyMs <= 60_000))
      return this.#ports.print('clock: give a count up to 10000 and milliseconds up to 60000\n')
    for (let n = 0; n < count && !abort.aborted; n++) {
      await this.#ports.print(`clock ${Date.now()}\n`)
      await pause(everyMs, abort)
    }
  }

  async #hold(mebibytes: number, abort: AbortSignal): Promise<void> {
    if (!Number.isInteger(mebibytes) || mebibytes < 0 || mebibytes > MAX_HELD_MIB)
      return this.#ports.print(`memory: give MiB from 0 to ${MAX_HELD_MIB}\n`)
    for (let held = 0; held < mebibytes && !abort.aborted; held++) {
      // Filled, because memory that was never written to is not there yet.
      this.#held.push(Buffer.alloc(1024 * 1024, 1))
      if (held % 64 === 0) await pause(1, abort)
    }
    await this.#ports.print(`holding ${this.#held.length} MiB\n`)
  }

  async #write(name: string, text: string): Promise<void> {
    const file = path.resolve(this.#ports.workspace, name)
    const inside = path.relative(this.#ports.workspace, file)
    if (name === '' || inside === '' || inside.startsWith('..'))
      return this.#ports.print('write: the path must be in the workspace\n')
    try {
      await mkdir(path.dirname(file), { recursive: true })
      await writeFile(file, `${text}\n`)
      await this.#ports.print(`wrote ${inside}\n`)
    } catch (error) {
      await this.#ports.print(`write: ${(error as Error).message}\n`)
    }
  }
}
