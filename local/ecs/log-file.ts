import { createWriteStream } from 'node:fs'

/** The log file of a container ends here; what follows goes to `onLine` only. */
export const MAX_LOG_FILE_BYTES = 16 * 1_024 * 1_024

/** A container's log on disk. */
export interface LogFile {
  write(line: string): void
  /** Resolves when all is written. */
  close(): Promise<void>
}

/** Opens a log file to append to. `onProblem` is told once when it cannot be written; what follows is lost. */
export function openLogFile(path: string, onProblem: (message: string) => void): LogFile {
  const stream = createWriteStream(path, { flags: 'a', mode: 0o600 })
  let failed = false
  stream.on('error', (error) => {
    failed = true
    onProblem(`The log file ${path} failed: ${error.message}`)
  })
  return {
    write(line) {
      if (!failed && stream.bytesWritten + stream.writableLength < MAX_LOG_FILE_BYTES) stream.write(`${line}\n`)
    },
    close: () => new Promise<void>((resolve) => (failed ? resolve() : stream.end(() => resolve()))),
  }
}
