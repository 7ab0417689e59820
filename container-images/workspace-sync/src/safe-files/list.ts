import type { Dirent } from 'node:fs'
import { opendir } from 'node:fs/promises'
import { openDirectory, type SafeDirectory } from './safe-directory.ts'
import { SafeFileError } from './safe-file-error.ts'

export type TreeEntry = {
  readonly name: string
  /** Relative to the root of the listing, with `/`. */
  readonly path: string
  readonly type: 'file' | 'directory'
  readonly children?: TreeEntry[]
}

export type ListOptions = {
  /** Entries in all; what is more is left out, the deepest first. */
  readonly maxEntries: number
  /** `closed`: a directory is named, but not what is in it. */
  readonly select: (entry: {
    readonly name: string
    readonly path: string
    readonly depth: number
  }) => 'hide' | 'closed' | 'open'
}

/** Levels below the root that are looked into. */
const MAX_DEPTH = 64

/**
 * Files and directories below `root`, sorted, directories first. Symbolic links, special files and names that are no UTF-8 are left out:
 * no path of ours reaches them. A directory that vanishes meanwhile counts as empty.
 */
export async function listTree(
  root: SafeDirectory,
  options: ListOptions,
): Promise<{ entries: TreeEntry[]; truncated: boolean }> {
  let left = options.maxEntries
  let truncated = false
  const top: TreeEntry[] = []
  // Level by level, so that a huge directory deep down does not hide its neighbours.
  const waiting: { path: string; depth: number; into: TreeEntry[] }[] = [{ path: '', depth: 0, into: top }]
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const { path, depth, into } = next
    const found = await readNames(root, path, left)
    truncated ||= found.more
    for (const { name, directory } of found.names) {
      const entry = { name, path: path === '' ? name : `${path}/${name}`, depth }
      const choice = options.select(entry)
      if (choice === 'hide') continue
      if (left === 0) {
        truncated = true
        break
      }
      left--
      if (!directory) {
        into.push({ name, path: entry.path, type: 'file' })
        continue
      }
      const children: TreeEntry[] = []
      into.push({ name, path: entry.path, type: 'directory', children })
      if (choice === 'open' && depth + 1 < MAX_DEPTH)
        waiting.push({ path: entry.path, depth: depth + 1, into: children })
      else if (choice === 'open') truncated = true
    }
  }
  return { entries: top, truncated }
}

type Named = { readonly name: string; readonly directory: boolean }

/** Names of one directory in order; reads no more than it may need of a hostile one. */
async function readNames(root: SafeDirectory, path: string, limit: number): Promise<{ names: Named[]; more: boolean }> {
  const names: Named[] = []
  let directory: SafeDirectory
  try {
    directory = await openDirectory(root, path)
  } catch (error) {
    // It was replaced or removed since its name was read.
    if (path !== '' && error instanceof SafeFileError) return { names, more: false }
    throw error
  }
  let more = false
  try {
    // Some room above the limit, because entries may be hidden.
    for await (const entry of await opendir(directory.self(), { encoding: 'buffer' as BufferEncoding })) {
      const named = toNamed(entry)
      if (named) names.push(named)
      if (names.length > limit + 1000) {
        more = true
        break
      }
    }
  } finally {
    await directory.close()
  }
  names.sort((a, b) => Number(b.directory) - Number(a.directory) || (a.name < b.name ? -1 : 1))
  return { names, more }
}

function toNamed(entry: Dirent): Named | undefined {
  const bytes = Buffer.from(entry.name as unknown as Buffer)
  const name = bytes.toString('utf8')
  if (!Buffer.from(name).equals(bytes)) return undefined
  if (entry.isDirectory()) return { name, directory: true }
  return entry.isFile() ? { name, directory: false } : undefined
}
