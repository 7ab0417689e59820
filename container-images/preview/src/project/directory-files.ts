import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { ProjectFiles } from './types.ts'

/** Largest file that detection reads, in bytes: lockfiles are the largest it looks at. */
const MAX_BYTES = 16 * 1024 * 1024
/** Names that detection looks at in one directory. */
const MAX_NAMES = 1_000

/** The files of the task's own copy of a tree. */
export function directoryFiles(root: string): ProjectFiles {
  const plainFile = (name: string) => {
    const stats = lstatSync(path.join(root, name), { throwIfNoEntry: false })
    return stats?.isFile() ? stats : undefined
  }
  return {
    has: (name) => plainFile(name) !== undefined,
    read(name) {
      const stats = plainFile(name)
      return stats && stats.size <= MAX_BYTES ? readFileSync(path.join(root, name), 'utf8') : undefined
    },
    list(name) {
      try {
        return readdirSync(path.join(root, name)).slice(0, MAX_NAMES)
      } catch {
        // Not there, or not a directory.
        return []
      }
    },
  }
}
