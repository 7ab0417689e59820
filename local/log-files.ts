import { createWriteStream, mkdirSync, type WriteStream } from 'node:fs'
import { join } from 'node:path'

/** Warnings and errors of functions are JSON lines of the Powertools logger. */
const WORTH_SHOWING = /"level":"(WARN|ERROR|CRITICAL)"/

/**
 * One log file a source (`<directory>/<function>.log`, `tasks.log`); warnings and errors of functions are shown as well.
 * Files are begun anew at each start.
 */
export function createLogFiles(directory: string, show: (line: string) => void) {
  mkdirSync(directory, { recursive: true })
  const files = new Map<string, WriteStream>()
  const fileOf = (name: string): WriteStream => {
    const known = files.get(name)
    if (known) return known
    const file = createWriteStream(join(directory, `${name}.log`), { flags: 'w', mode: 0o600 })
    files.set(name, file)
    return file
  }
  return {
    write(source: string, line: string): void {
      const isTask = source.startsWith('task ')
      fileOf(isTask ? 'tasks' : source).write(isTask ? `${source.slice(5)} ${line}\n` : `${line}\n`)
      if (!isTask && WORTH_SHOWING.test(line)) show(summary(source, line))
    },
    close(): void {
      for (const file of files.values()) file.end()
    },
  }
}

function summary(source: string, line: string): string {
  try {
    const { level, message, error } = JSON.parse(line) as Record<string, unknown>
    const cause = typeof error === 'object' && error !== null && 'message' in error ? `: ${String(error.message)}` : ''
    return `${String(level)} ${source}: ${String(message)}${cause}`
  } catch {
    return `${source}: ${line}`
  }
}
