import { type BigIntStats, constants } from 'node:fs'
import { type FileHandle, open, readlink } from 'node:fs/promises'
import type { TreePath } from './paths.ts'
import { inParent, type SafeDirectory } from './safe-directory.ts'
import { isErrno, SafeFileError, toSafeFileError } from './safe-file-error.ts'

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants

/** Bytes read at once. */
const CHUNK = 64 * 1024

/** Opens a plain file in `parent`. Never waits for a FIFO's writer, never opens a device. System errors come as they are. */
async function openFile(parent: SafeDirectory, name: Buffer): Promise<{ handle: FileHandle; stats: BigIntStats }> {
  // Opening a device can have effects, so it is looked at first; opening tells whether it still is what it was.
  const before = await parent.stat(name)
  if (before?.isSymbolicLink()) throw new SafeFileError('invalid-path', 'Symbolic links are not followed')
  if (before?.isDirectory()) throw new SafeFileError('not-a-file', 'It is a directory')
  if (before && !before.isFile()) throw new SafeFileError('not-a-file', 'It is not a plain file')
  const handle = await open(parent.at(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
  const stats = await handle.stat({ bigint: true })
  if (stats.isFile()) return { handle, stats }
  await handle.close()
  throw new SafeFileError('not-a-file', 'It is not a plain file')
}

/** Up to `maxBytes` of the file; one that is longer, or grows so while it is read, is `too-large`. */
async function readAll(handle: FileHandle, size: bigint, maxBytes: number): Promise<Buffer> {
  const tooLarge = () => new SafeFileError('too-large', `The file has more than ${maxBytes} bytes`)
  if (size > BigInt(maxBytes)) throw tooLarge()
  const chunks: Buffer[] = []
  let total = 0
  for (;;) {
    const buffer = Buffer.allocUnsafe(total === 0 ? Math.min(Number(size), maxBytes) + 1 : CHUNK)
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, total)
    if (bytesRead === 0) return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, total)
    total += bytesRead
    if (total > maxBytes) throw tooLarge()
    chunks.push(buffer.subarray(0, bytesRead))
  }
}

export type FoundFile = { readonly content: Buffer; readonly stats: BigIntStats }

/** As `readFile`, with what the file's handle said before it was read. */
export async function readFileAndStats(root: SafeDirectory, path: TreePath, maxBytes: number): Promise<FoundFile> {
  try {
    return await inParent(root, path, async (parent, name) => {
      const { handle, stats } = await openFile(parent, name)
      try {
        return { content: await readAll(handle, stats.size, maxBytes), stats }
      } finally {
        await handle.close()
      }
    })
  } catch (error) {
    throw toSafeFileError(error)
  }
}

/** The bytes of a plain file of at most `maxBytes`. Throws `SafeFileError`; symbolic links, FIFOs, sockets and devices are refused. */
export async function readFile(root: SafeDirectory, path: TreePath, maxBytes: number): Promise<Buffer> {
  return (await readFileAndStats(root, path, maxBytes)).content
}

/** Bytes of the plain file at `path`; undefined when there is nothing to read, whatever the reason. */
export async function readFileIfAny(
  root: SafeDirectory,
  path: TreePath,
  maxBytes: number,
): Promise<Buffer | undefined> {
  try {
    return await readFile(root, path, maxBytes)
  } catch (error) {
    if (error instanceof SafeFileError && error.code !== 'no-space') return undefined
    throw error
  }
}

/** The last `maxBytes` of the plain file at `path`; undefined when there is nothing to read. */
export async function readTail(root: SafeDirectory, path: TreePath, maxBytes: number): Promise<Buffer | undefined> {
  try {
    return await inParent(root, path, async (parent, name) => {
      const { handle, stats } = await openFile(parent, name)
      try {
        const length = Math.min(Number(stats.size), maxBytes)
        const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, Number(stats.size) - length)
        return buffer.subarray(0, bytesRead)
      } finally {
        await handle.close()
      }
    })
  } catch (error) {
    const reason = toSafeFileError(error)
    if (reason.code === 'no-space' || reason.code === 'failed') throw reason
    return undefined
  }
}

/** Where the symbolic link at `path` points, as bytes; undefined when there is none. */
export async function readLink(root: SafeDirectory, path: TreePath): Promise<Buffer | undefined> {
  try {
    return await inParent(root, path, (parent, name) => readlink(parent.at(name), { encoding: 'buffer' }))
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EINVAL', 'ENOTDIR', 'ELOOP')) return undefined
    throw toSafeFileError(error)
  }
}
