import { createHash } from 'node:crypto'
import { lstat, readdir } from 'node:fs/promises'
import path from 'node:path'

export type Measure = {
  /** Of the paths of all files and links: package managers name what they keep by its content. */
  readonly digest: string
  readonly files: number
  /** As a tar stream of them has, or a little more. */
  readonly tarBytes: number
}

/**
 * What lies below a directory, without `leftOut` (paths below it); undefined: more than `maxFiles` files. Links are not followed; what
 * goes away meanwhile is not counted, and a directory that is not there is empty.
 */
export async function measure(
  root: string,
  leftOut: readonly string[],
  maxFiles: number,
): Promise<Measure | undefined> {
  const hash = createHash('sha256')
  let files = 0
  let tarBytes = 0
  const below = ['']
  for (let directory = below.pop(); directory !== undefined; directory = below.pop()) {
    const entries = await readdir(path.join(root, directory), { withFileTypes: true }).catch(unlessGone([]))
    entries.sort((one, other) => (one.name < other.name ? -1 : 1))
    const found: string[] = []
    for (const entry of entries) {
      const name = path.posix.join(directory, entry.name)
      if (leftOut.includes(name)) continue
      if (entry.isDirectory()) below.push(name)
      else found.push(name)
    }
    files += found.length
    if (files > maxFiles) return undefined
    for (const name of found) hash.update(`${name}\0`)
    const sizes = await Promise.all(
      found.map((name) => lstat(path.join(root, name)).then(({ size }) => size, unlessGone(0))),
    )
    tarBytes += TAR_BLOCK
    for (const [at, size] of sizes.entries()) tarBytes += inTar(found[at] ?? '', size)
  }
  return { digest: hash.digest('hex'), files, tarBytes }
}

/** Bytes of a block; a header is one, names beyond a header's 100 bytes take two more (GNU tar manual, "Basic Tar Format"). */
const TAR_BLOCK = 512
const inTar = (name: string, size: number): number =>
  TAR_BLOCK * (1 + Math.ceil(size / TAR_BLOCK) + (name.length > 95 ? 2 : 0))

const unlessGone =
  <T>(instead: T) =>
  (error: NodeJS.ErrnoException): T => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return instead
    throw error
  }
