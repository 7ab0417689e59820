/**
 * One look at a whole tree that others write to. Directories are opened from their parents' descriptors without following symbolic links
 * (Node has no openat; `/proc/self/fd` is the same on Linux), special files are never opened. Synchronous, because a thousand
 * small promises cost ten times what the look itself does: it runs in a thread of its own.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  type Stats,
} from 'node:fs'
import { isMirrored, staysInside } from './names.ts'

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants

/** Levels below the root that are looked into; deeper ones are left out and named. */
const MAX_DEPTH = 64

export type FileEntry = {
  readonly kind: 'file'
  readonly size: number
  readonly mtimeMs: number
  readonly ctimeMs: number
  readonly ino: number
  readonly executable: boolean
}
export type Entry = FileEntry | { readonly kind: 'directory' } | { readonly kind: 'link'; readonly target: string }

export type Scan = {
  /** By path relative to the root; a directory comes before what is in it. */
  readonly entries: ReadonlyMap<string, Entry>
  /** What is left out, for a person: `<path>: <why>`. */
  readonly leftOut: readonly string[]
  /** Directories that are there and could not be read this time: nobody knows what is in them now. */
  readonly unread: readonly string[]
}

export type ScanLimits = {
  /** Entries in all. */
  readonly maxEntries: number
  /** Bytes in all, and of one file: a larger one is left out. */
  readonly maxBytes: number
  readonly maxFileBytes: number
}

/** There is no tree, or not yet. */
export class TreeMissing extends Error {
  override readonly name = 'TreeMissing'
}

/** A file stands in the tree's place: workspace sync says in it, for a person, why there is no tree. */
export class TreeWithheld extends Error {
  override readonly name = 'TreeWithheld'
}

/** The tree is larger than a preview copies; the message is for a person. */
export class TreeTooLarge extends Error {
  override readonly name = 'TreeTooLarge'
}

export const toFileEntry = (stats: Stats): FileEntry => ({
  kind: 'file',
  size: stats.size,
  mtimeMs: stats.mtimeMs,
  ctimeMs: stats.ctimeMs,
  ino: stats.ino,
  executable: (stats.mode & 0o111) !== 0,
})

export const sameFile = (a: FileEntry, b: FileEntry): boolean =>
  a.size === b.size && a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs && a.ino === b.ino

/**
 * Everything in `root`. `askServer` names the files whose attributes must not come from a cache of the system: a file that is opened is
 * looked up at the file server (close-to-open), one that is only looked at may be a minute old on NFS. Directories are opened in any
 * case. Throws `TreeTooLarge`, `TreeMissing`, `TreeWithheld`, or the system's error when `root` itself cannot be read.
 */
export function scanTree(root: string, limits: ScanLimits, askServer: (path: string) => boolean): Scan {
  const entries = new Map<string, Entry>()
  const leftOut: string[] = []
  const unread: string[] = []
  let bytes = 0

  const look = (at: string, name: string, path: string): void => {
    const place = `${at}/${name}`
    const stats = askServer(path) ? openedStats(place) : lstatSync(place, { throwIfNoEntry: false })
    // It was removed since its name was read.
    if (!stats) return
    if (stats.isSymbolicLink()) {
      const target = readlinkSync(place)
      if (staysInside(path, target)) entries.set(path, { kind: 'link', target })
      else leftOut.push(`${path}: a symbolic link that leads out of the repository`)
    } else if (stats.isFile() && stats.size > limits.maxFileBytes) {
      leftOut.push(`${path}: larger than ${megabytes(limits.maxFileBytes)}`)
    } else if (stats.isFile()) {
      bytes += stats.size
      if (bytes > limits.maxBytes)
        throw new TreeTooLarge(
          `The working tree has more than ${megabytes(limits.maxBytes)}, which is more than a preview copies`,
        )
      entries.set(path, toFileEntry(stats))
    } else if (!stats.isDirectory()) leftOut.push(`${path}: not a plain file`)
    if (entries.size > limits.maxEntries)
      throw new TreeTooLarge(
        `The working tree has more than ${limits.maxEntries} files, node_modules and caches not counted, which is more than a preview copies`,
      )
  }

  const walk = (place: string, path: string, depth: number): void => {
    const descriptor = openSync(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK)
    try {
      const at = `/proc/self/fd/${descriptor}`
      for (const entry of readdirSync(at, { withFileTypes: true })) {
        const { name } = entry
        const below = path === '' ? name : `${path}/${name}`
        // A name that is no UTF-8 was read with U+FFFD in it and cannot be opened by what was read.
        if (name.includes('\uFFFD')) leftOut.push(`${below}: its name is no UTF-8`)
        else if (!isMirrored(name)) continue
        else if (!entry.isDirectory())
          seen(
            () => look(at, name, below),
            (why) => leftOut.push(`${below}: ${why}`),
          )
        else if (depth >= MAX_DEPTH) leftOut.push(`${below}: nested too deeply`)
        else
          seen(
            () => {
              entries.set(below, { kind: 'directory' })
              walk(`${at}/${name}`, below, depth + 1)
            },
            (why) => {
              leftOut.push(`${below}: ${why}`)
              unread.push(below)
            },
          )
      }
    } finally {
      closeSync(descriptor)
    }
  }
  try {
    walk(root, '', 0)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') throw new TreeMissing('The working tree is not there yet')
    const why = code === 'ENOTDIR' ? reasonAt(root) : undefined
    if (why !== undefined) throw new TreeWithheld(why)
    throw error
  }
  return { entries, leftOut, unread }
}

/** Bytes that are read of a reason. */
const MAX_REASON_BYTES = 500

/** What a plain file says, in one line; undefined when there is none, or it is empty. Agents may have put something else there: no link is followed. */
function reasonAt(place: string): string | undefined {
  let descriptor: number
  try {
    descriptor = openSync(place, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
  } catch {
    return undefined
  }
  try {
    if (!fstatSync(descriptor).isFile()) return undefined
    const bytes = Buffer.alloc(MAX_REASON_BYTES)
    const text = bytes.toString('utf8', 0, readSync(descriptor, bytes, 0, bytes.length, 0))
    return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim() || undefined
  } finally {
    closeSync(descriptor)
  }
}

function openedStats(place: string): Stats | undefined {
  const before = lstatSync(place, { throwIfNoEntry: false })
  if (!before?.isFile()) return before
  const descriptor = openSync(place, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
  try {
    return fstatSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** What vanished or became something else since it was listed is seen by the next look; anything else is told to `problem`. */
function seen(look: () => void, problem: (why: string) => void): void {
  try {
    look()
  } catch (error) {
    if (error instanceof TreeTooLarge) throw error
    const code = (error as NodeJS.ErrnoException).code ?? String(error)
    if (!['ENOENT', 'ENOTDIR', 'ELOOP', 'EINVAL'].includes(code)) problem(`it cannot be read (${code})`)
  }
}

const megabytes = (bytes: number): string => `${Math.round(bytes / 1024 / 1024)} MB`
