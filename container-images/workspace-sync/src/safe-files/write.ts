import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import type { TreePath } from './paths.ts'
import { inParent, type SafeDirectory } from './safe-directory.ts'
import { SafeFileError, toSafeFileError } from './safe-file-error.ts'

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants

export type WriteOptions = {
  /**
   * A directory on the same file system where agents cannot write; it is made when missing. The new content is written there and
   * renamed into the tree, so that a half-written file is never seen and nothing is left in the tree.
   */
  readonly staging: string
  /** Permissions of a new file; one that is replaced keeps its own. */
  readonly mode?: number | undefined
}

/**
 * Puts `content` at `path` at once, making directories that are missing. What stands there must be a plain file or nothing. Durable when
 * it resolves. Throws `SafeFileError`.
 */
export async function writeFileAtomic(
  root: SafeDirectory,
  target: TreePath,
  content: Buffer,
  options: WriteOptions,
): Promise<void> {
  const temporary = path.join(options.staging, randomBytes(8).toString('hex'))
  try {
    await inParent(
      root,
      target,
      async (parent, name) => {
        const existing = await parent.stat(name)
        if (existing?.isSymbolicLink()) throw new SafeFileError('invalid-path', 'Symbolic links are not followed')
        if (existing && !existing.isFile()) throw new SafeFileError('not-a-file', 'It is not a plain file')
        await mkdir(options.staging, { recursive: true })
        const mode = existing ? Number(existing.mode & 0o777n) : (options.mode ?? 0o644)
        const handle = await open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
        try {
          await handle.writeFile(content)
          await handle.chmod(mode)
          await handle.sync()
        } finally {
          await handle.close()
        }
        await rename(temporary, parent.at(name))
      },
      true,
    )
  } catch (error) {
    await rm(temporary, { force: true })
    throw toSafeFileError(error)
  }
}
