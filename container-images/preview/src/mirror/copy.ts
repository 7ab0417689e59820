import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import {
  chmod,
  copyFile as copyWhole,
  type FileHandle,
  lstat,
  mkdir,
  open,
  readFile,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises'
import path from 'node:path'
import { type FileEntry, sameFile, toFileEntry } from './scan.ts'

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants

/** Up to this many bytes a file is compared with its copy, so that one that was only touched changes nothing. */
const COMPARED_BYTES = 1024 * 1024

/** `again`: it changed meanwhile, or is something else than what was looked at. */
export type Copied = {
  readonly result: 'changed' | 'same' | 'again' | { readonly failed: string }
  /** What the copy is of; absent when there is none. */
  readonly entry?: FileEntry
}

/**
 * Copies the plain file that was seen as `expected`, and no other: a directory on its way may have become a symbolic link since, and then its inode is
 * another. Rejects only when the copy cannot be written.
 */
export async function copyFile(source: string, expected: FileEntry, target: string, staging: string): Promise<Copied> {
  let handle: FileHandle
  try {
    handle = await open(source, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
  } catch (error) {
    return unread(error)
  }
  const staged = path.join(staging, randomBytes(8).toString('hex'))
  let moved = false
  try {
    const stats = await handle.stat()
    if (!stats.isFile() || stats.ino !== expected.ino) return { result: 'again' }
    const entry = toFileEntry(stats)
    const mode = entry.executable ? 0o755 : 0o644
    let content: Buffer | undefined
    try {
      if (entry.size <= COMPARED_BYTES) content = await handle.readFile()
      else await copyWhole(`/proc/self/fd/${handle.fd}`, staged, constants.COPYFILE_FICLONE)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      if (code === 'ENOSPC' || code === 'EDQUOT') throw error
      return unread(error)
    }
    // Whoever was writing meanwhile has left a torn copy; it is taken when it is at rest.
    if (!sameFile(entry, toFileEntry(await handle.stat()))) return { result: 'again' }
    if (content !== undefined) {
      if (await holds(target, content, mode)) return { result: 'same', entry }
      await writeFile(staged, content, { flag: 'wx' })
    }
    await chmod(staged, mode)
    await moveTo(staged, target)
    moved = true
    return { result: 'changed', entry }
  } finally {
    await handle.close()
    if (!moved) await rm(staged, { force: true })
  }
}

function unread(error: unknown): Copied {
  const code = (error as NodeJS.ErrnoException).code ?? String(error)
  return ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO', 'ESTALE'].includes(code)
    ? { result: 'again' }
    : { result: { failed: `it cannot be read (${code})` } }
}

async function holds(target: string, content: Buffer, mode: number): Promise<boolean> {
  const stats = await lstat(target).catch(() => undefined)
  if (!stats?.isFile() || stats.size !== content.length) return false
  if (!(await readFile(target)).equals(content)) return false
  if ((stats.mode & 0o777) !== mode) await chmod(target, mode)
  return true
}

/** What was made in the copy by others gives way. */
async function moveTo(staged: string, target: string): Promise<void> {
  try {
    await rename(staged, target)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'EISDIR' || code === 'ENOTEMPTY' || code === 'EEXIST')
      await rm(target, { recursive: true, force: true })
    else if (code === 'ENOENT') await mkdir(path.dirname(target), { recursive: true })
    else throw error
    await rename(staged, target)
  }
}
