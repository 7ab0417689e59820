import { writeSync } from 'node:fs'

/** Typed input that the program has not read yet, in bytes; beyond it input is refused. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024

/**
 * Milliseconds to the next try when the kernel's buffer (4 KB a line discipline) is full. Nothing tells when there is room:
 * libuv cannot wait for a terminal's master to become writable.
 */
const RETRY_MS = 5

/**
 * Writes to a terminal's master and never waits for the program. libuv treats the master as blocking while node-pty has made
 * it non-blocking, so on a full buffer its own write spins without reading what the program prints; a program that echoes a
 * long paste, which reads on only when its output is taken, would then never go on.
 */
export class TerminalInput {
  readonly #fd: number
  readonly #isClosed: () => boolean
  #waiting: Buffer[] = []
  #bytes = 0
  #timer: NodeJS.Timeout | undefined

  constructor(fd: number, isClosed: () => boolean) {
    this.#fd = fd
    this.#isClosed = isClosed
  }

  /** False when it was refused, because the program does not read. */
  write(data: string): boolean {
    const bytes = Buffer.from(data)
    if (this.#isClosed() || this.#bytes + bytes.length > MAX_UNREAD_BYTES) return false
    this.#waiting.push(bytes)
    this.#bytes += bytes.length
    if (this.#timer === undefined) this.#flush()
    return true
  }

  #flush(): void {
    this.#timer = undefined
    while (this.#waiting[0] !== undefined) {
      const [first] = this.#waiting
      const written = this.#isClosed() ? 'closed' : tryWrite(this.#fd, first)
      if (written === 'full') {
        this.#timer = setTimeout(() => this.#flush(), RETRY_MS)
        this.#timer.unref()
        return
      }
      if (written === 'closed') {
        this.#waiting = []
        this.#bytes = 0
        return
      }
      this.#bytes -= written
      if (written === first.length) this.#waiting.shift()
      else this.#waiting[0] = first.subarray(written)
    }
  }
}

function tryWrite(fd: number, bytes: Buffer): number | 'full' | 'closed' {
  try {
    return writeSync(fd, bytes)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EAGAIN') return 'full'
    // EIO: the program has closed its side; EBADF: the terminal has been closed here.
    if (code === 'EIO' || code === 'EBADF') return 'closed'
    throw error
  }
}
