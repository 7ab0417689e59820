import { randomBytes } from 'node:crypto'
import { readdir, rename, rmdir, unlink } from 'node:fs/promises'
import type { TreePath } from './paths.ts'
import { inParent, openDirectory, type SafeDirectory } from './safe-directory.ts'
import { isErrno, toSafeFileError } from './safe-file-error.ts'

/** Passes over a directory that others fill while it is emptied, before it is given up. */
const MAX_PASSES = 20

/**
 * Removes everything in `directory`, but not itself. A directory in it is first moved to the top, so that no depth can exhaust paths or
 * descriptors. Symbolic links are removed, not followed. Throws `SafeFileError`, `exists` when others keep writing.
 */
export async function emptyDirectory(directory: SafeDirectory): Promise<void> {
  try {
    for (let pass = 0; pass < MAX_PASSES; pass++) {
      const names = await readdir(directory.self(), { encoding: 'buffer' })
      if (names.length === 0) return
      // Grows while it is worked through: by the directories that are moved up.
      for (const name of names) await removeEntry(directory, name, names)
    }
    throw Object.assign(new Error('Files keep appearing'), { code: 'ENOTEMPTY' })
  } catch (error) {
    throw toSafeFileError(error)
  }
}

/** Removes the directory, file or link at `path` with all that is in it; nothing there is no error. Throws `SafeFileError`. */
export async function removeTree(root: SafeDirectory, path: TreePath): Promise<void> {
  try {
    await inParent(root, path, async (parent, name) => {
      if (!(await parent.stat(name))?.isDirectory()) return removeFile(parent, name)
      const directory = await openDirectory(parent, name)
      try {
        await emptyDirectory(directory)
      } finally {
        await directory.close()
      }
      await ignoring(rmdir(parent.at(name)), 'ENOENT')
    })
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return
    throw toSafeFileError(error)
  }
}

/** Removes one entry of `top`. Directories in it are moved to `top`, under names that are added to `names`. */
async function removeEntry(top: SafeDirectory, name: Buffer, names: Buffer[]): Promise<void> {
  const stats = await top.stat(name)
  if (!stats) return
  if (!stats.isDirectory()) return removeFile(top, name)
  if (await removed(top, name)) return
  let directory: SafeDirectory
  try {
    directory = await top.child(name)
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return
    throw error
  }
  try {
    for (const inner of await readdir(directory.self(), { encoding: 'buffer' })) {
      const isDirectory = (await directory.stat(inner))?.isDirectory() ?? false
      if (!isDirectory) await removeFile(directory, inner)
      else if (!(await removed(directory, inner))) {
        const up = Buffer.from(`.removing-${randomBytes(8).toString('hex')}`)
        await ignoring(rename(directory.at(inner), top.at(up)), 'ENOENT')
        names.push(up)
      }
    }
  } finally {
    await directory.close()
  }
  await removed(top, name)
}

/** Unlinks what was no directory a moment ago. */
function removeFile(parent: SafeDirectory, name: Buffer): Promise<void> {
  return ignoring(unlink(parent.at(name)), 'ENOENT', 'EISDIR', 'EPERM')
}

/** Whether it was an empty directory and is gone now. */
async function removed(parent: SafeDirectory, name: Buffer): Promise<boolean> {
  try {
    await rmdir(parent.at(name))
    return true
  } catch (error) {
    if (isErrno(error, 'ENOTEMPTY', 'EEXIST')) return false
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return true
    throw error
  }
}

async function ignoring(work: Promise<void>, ...codes: readonly string[]): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!isErrno(error, ...codes)) throw error
  }
}
