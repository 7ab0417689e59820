import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import type { ProjectFiles } from './types.ts'

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants

/** Largest file that detection reads, in bytes: lockfiles are the largest it looks at. */
const MAX_BYTES = 16 * 1024 * 1024
/** Names that detection looks at in one directory. */
const MAX_NAMES = 1_000

/**
 * The files of the team's working tree. Not of the task's copy: there, package managers write lockfiles and dev servers settings, and a
 * project that is started anew for what it wrote itself never comes to rest. Never waits for a special file, and follows no
 * symbolic link in a path's last name.
 */
export function directoryFiles(root: string): ProjectFiles {
  return {
    has(name) {
      try {
        return lstatSync(path.join(root, name)).isFile()
      } catch {
        // Not there, or behind something that is no directory.
        return false
      }
    },
    read: (name) => readText(path.join(root, name)),
    list(name) {
      try {
        return readdirSync(path.join(root, name)).slice(0, MAX_NAMES)
      } catch {
        return []
      }
    },
  }
}

function readText(place: string): string | undefined {
  let descriptor: number
  try {
    if (!lstatSync(place).isFile()) return undefined
    descriptor = openSync(place, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
  } catch {
    return undefined
  }
  try {
    const stats = fstatSync(descriptor)
    return stats.isFile() && stats.size <= MAX_BYTES ? readFileSync(descriptor, 'utf8') : undefined
  } finally {
    closeSync(descriptor)
  }
}
