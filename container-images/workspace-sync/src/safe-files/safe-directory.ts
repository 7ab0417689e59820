/**
 * Directories of a tree that others write to, by handle: each is opened from its parent's handle without following a symbolic link, and
 * everything in it is reached through `/proc/self/fd/<handle>/<name>`, so whatever is renamed or planted meanwhile, no access
 * leaves the tree. (Node has no openat; this is the same on Linux.)
 */
import { type BigIntStats, constants } from 'node:fs'
import { type FileHandle, lstat, mkdir, open } from 'node:fs/promises'
import { splitPath, type TreePath } from './paths.ts'
import { isErrno, SafeFileError, toSafeFileError } from './safe-file-error.ts'

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants

export class SafeDirectory {
  readonly #handle: FileHandle

  private constructor(handle: FileHandle) {
    this.#handle = handle
  }

  /** Opens a directory by a path that nobody else can change but for its last name, which must not be a symbolic link. */
  static async open(path: string | Buffer): Promise<SafeDirectory> {
    return new SafeDirectory(await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK))
  }

  /** The system's path of a name in this directory: good for one operation that does not follow symbolic links, while this is open. */
  at(name: Buffer): Buffer {
    return Buffer.concat([Buffer.from(`/proc/self/fd/${this.#handle.fd}/`), name])
  }

  /** The system's path of the directory itself, for `readdir`. */
  self(): string {
    return `/proc/self/fd/${this.#handle.fd}`
  }

  /** Its descriptor, to be inherited by a process as its working directory. */
  get fd(): number {
    return this.#handle.fd
  }

  child(name: Buffer): Promise<SafeDirectory> {
    return SafeDirectory.open(this.at(name))
  }

  /** What stands at the name itself, or undefined. */
  async stat(name: Buffer): Promise<BigIntStats | undefined> {
    try {
      return await lstat(this.at(name), { bigint: true })
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined
      throw error
    }
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

/** The same directory once more, for a walk that closes what it leaves behind. */
async function again(directory: SafeDirectory): Promise<SafeDirectory> {
  return SafeDirectory.open(Buffer.from(`${directory.self()}/.`))
}

/**
 * Calls `use` with the directory that holds the last name of `path`, and that name. `make`: directories that are missing are made.
 * System errors come as they are; `splitPath`'s as `SafeFileError`.
 */
export async function inParent<T>(
  root: SafeDirectory,
  path: TreePath,
  use: (parent: SafeDirectory, name: Buffer) => Promise<T>,
  make = false,
): Promise<T> {
  const names = splitPath(path)
  const last = names.at(-1) as Buffer
  let parent = root
  try {
    for (const name of names.slice(0, -1)) {
      const next = await openOrMake(parent, name, make)
      if (parent !== root) await parent.close()
      parent = next
    }
    return await use(parent, last)
  } finally {
    if (parent !== root) await parent.close()
  }
}

async function openOrMake(parent: SafeDirectory, name: Buffer, make: boolean): Promise<SafeDirectory> {
  try {
    return await parent.child(name)
  } catch (error) {
    if (!make || !isErrno(error, 'ENOENT')) throw await explained(error, parent, name)
  }
  try {
    await mkdir(parent.at(name), 0o755)
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error
  }
  return parent.child(name)
}

/** O_DIRECTORY answers ENOTDIR for a symbolic link, too: tell the two apart for whoever reads the message. */
async function explained(error: unknown, parent: SafeDirectory, name: Buffer): Promise<unknown> {
  if (!isErrno(error, 'ENOTDIR')) return error
  const stats = await parent.stat(name)
  if (!stats?.isSymbolicLink()) return error
  return Object.assign(new Error('A part of the path is a symbolic link'), { code: 'ELOOP' })
}

/** Opens the directory at `path`; the empty path is the root itself. */
export async function openDirectory(root: SafeDirectory, path: TreePath): Promise<SafeDirectory> {
  try {
    if (path.length === 0) return await again(root)
    return await inParent(root, path, (parent, name) => openOrMake(parent, name, false))
  } catch (error) {
    throw toSafeFileError(error)
  }
}

/** What stands at `path`, without following anything; undefined when nothing does. */
export async function statPath(root: SafeDirectory, path: TreePath): Promise<BigIntStats | undefined> {
  try {
    return await inParent(root, path, (parent, name) => parent.stat(name))
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined
    if (error instanceof SafeFileError) throw error
    throw toSafeFileError(error)
  }
}
