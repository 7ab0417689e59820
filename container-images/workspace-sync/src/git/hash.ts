/** The git entry that a file would be, computed from its handle. */
import { createHash } from 'node:crypto'
import { type BigIntStats, constants } from 'node:fs'
import { type FileHandle, lstat, open, readlink } from 'node:fs/promises'
import { inParent, type SafeDirectory } from '../safe-files/safe-directory.ts'
import { isErrno } from '../safe-files/safe-file-error.ts'
import { type Entry, SYMLINK } from './objects.ts'

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants
const CHUNK = 256 * 1024

export type Hashed = { readonly entry: Entry; readonly stats: BigIntStats }

/** Of what stands at `path`; undefined when nothing does. What cannot be in git as a file has an entry that equals no other. */
export async function hashPath(root: SafeDirectory, path: Buffer, sha256: boolean): Promise<Hashed | undefined> {
  try {
    return await inParent(root, path, (parent, name) => hashAt(parent.at(name), sha256))
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined
    throw error
  }
}

/** Of the file itself at a path of the system; rejects with ENOENT when there is none. */
export async function hashAt(place: Buffer | string, sha256: boolean): Promise<Hashed> {
  const stats = await lstat(place, { bigint: true })
  if (stats.isSymbolicLink()) {
    const target = await readlink(place, { encoding: 'buffer' })
    return { entry: { mode: SYMLINK, oid: hashBytes(target, sha256) }, stats }
  }
  if (!stats.isFile()) return { entry: { mode: 'special', oid: '' }, stats }
  const handle = await open(place, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
  try {
    const opened = await handle.stat({ bigint: true })
    const oid = opened.isFile() ? await hashHandle(handle, opened.size, sha256) : ''
    return { entry: { mode: (opened.mode & 0o100n) === 0n ? '100644' : '100755', oid }, stats: opened }
  } finally {
    await handle.close()
  }
}

const start = (size: bigint | number, sha256: boolean) =>
  createHash(sha256 ? 'sha256' : 'sha1').update(`blob ${size}\0`)

const hashBytes = (content: Buffer, sha256: boolean) => start(content.length, sha256).update(content).digest('hex')

/** The empty text for a file whose size changes while it is read. */
async function hashHandle(handle: FileHandle, size: bigint, sha256: boolean): Promise<string> {
  const hash = start(size, sha256)
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK, Number(size) + 1))
  let total = 0n
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, Number(total))
    if (bytesRead === 0) return total === size ? hash.digest('hex') : ''
    total += BigInt(bytesRead)
    hash.update(buffer.subarray(0, bytesRead))
  }
}
