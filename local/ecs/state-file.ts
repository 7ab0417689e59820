import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * A JSON file that is replaced as a whole: who reads it after this process has died at any moment sees the old content or
 * the new one, never a part. A power failure may lose the last seconds.
 */
export interface StateFile {
  /**
   * Writes what `snapshot()` returns now or later. Resolves when a write that began after this call is done; calls that
   * arrive while one write is under way share the next, so a burst of changes costs two writes.
   */
  save(): Promise<void>
  /** Waits for the last write. */
  close(): Promise<void>
}

/** Reads a state file; undefined when there is none. Throws when it is not JSON, because starting afresh would lose state without a word. */
export async function readStateFile(path: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Error(`The state file ${path} is not JSON (${(error as Error).message}); remove it to start afresh`)
  }
}

/**
 * Opens a state file for writing; `path` undefined keeps nothing. `snapshot` gives the whole content as JSON text. Only the
 * file's owner can read it, because state may hold secrets.
 */
export function createStateFile(path: string | undefined, snapshot: () => string): StateFile {
  if (path === undefined) return { save: async () => {}, close: async () => {} }
  const target = path
  let underWay: Promise<void> | undefined
  let next: Promise<void> | undefined

  async function write(): Promise<void> {
    await mkdir(dirname(target), { recursive: true })
    const temporary = `${target}.new`
    await writeFile(temporary, snapshot(), { mode: 0o600 })
    await rename(temporary, target)
  }

  function start(): Promise<void> {
    const writing = write().finally(() => {
      if (underWay === writing) underWay = undefined
    })
    underWay = writing
    return writing
  }

  function save(): Promise<void> {
    if (!underWay) return start()
    next ??= underWay
      .catch(() => {})
      .then(() => {
        next = undefined
        return start()
      })
    return next
  }

  return {
    save,
    close: async () => {
      while (next ?? underWay) await (next ?? underWay)
    },
  }
}
