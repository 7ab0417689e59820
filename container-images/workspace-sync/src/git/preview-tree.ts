/** One working tree that shows exactly what a git tree has: made complete, then brought from one to the next in place. */
import { mkdir, readdir, rename } from 'node:fs/promises'
import path from 'node:path'
import { emptyDirectory, removeTree } from '../safe-files/remove.ts'
import { inParent, openDirectory, type SafeDirectory, statPath } from '../safe-files/safe-directory.ts'
import { isErrno } from '../safe-files/safe-file-error.ts'
import { type BytePath, type Entry, GITLINK, listEntries, splitNul, toBytes } from './objects.ts'
import type { Git, GitOptions, GitResult } from './run-git.ts'
import { removeFromIndex } from './snapshot.ts'

export type PreviewTree = {
  readonly git: Git
  /** The folder that it stands in, and its name there. */
  readonly previews: SafeDirectory
  readonly name: Buffer
  /** The same as a path, for git to look at: agents may make it lead anywhere, so nothing is written through it. */
  readonly place: string
  /** git's index of it, outside the agents' reach. */
  readonly index: string
  /** An empty folder of our own on the same file system. */
  readonly work: string
  /** The git tree that it is to show. */
  readonly to: string
  readonly cut: AbortSignal
}

/** Times that a path is cleared for a file while somebody keeps planting something there. */
const MAX_TRIES = 5

/** A git process that ends when the last commit is due. */
function run({ git, cut }: PreviewTree, args: readonly string[], options: GitOptions): Promise<GitResult> {
  cut.throwIfAborted()
  return git.run(args, { ...options, remote: true })
}

/** Makes it out of everybody's sight; it appears complete, in the place of whatever is no directory. */
export async function buildPreviewTree(preview: PreviewTree): Promise<void> {
  const { git, previews, name, index, work, to } = preview
  const folder = path.join(work, 'tree')
  const fresh = path.join(work, 'index')
  await mkdir(folder)
  await run(preview, ['read-tree', to], { index: fresh })
  const gitlinks = gitlinksIn(await listEntries(git, to))
  await removeFromIndex(git, fresh, gitlinks)
  // Writes the files' times into the index; they stay right when the folder gets its name.
  await run(preview, ['checkout-index', '--all', '--index', '--quiet'], { index: fresh, workTree: folder })
  for (const one of gitlinks) await mkdir(below(folder, one), { recursive: true })
  await removeTree(previews, name)
  await rename(fresh, index)
  await rename(folder, previews.at(name))
}

/** Removes what does not belong there and writes what differs, whoever made the difference. Readers see each file whole, old or new. */
export async function refreshPreviewTree(preview: PreviewTree): Promise<void> {
  const { git, previews, name, place, index, work, to, cut } = preview
  const entries = await listEntries(git, to)
  const gitlinks = gitlinksIn(entries)
  const tree = await previews.child(name)
  try {
    await sweep(tree, entries, cut)
    const options = { index, workTree: place }
    // Keeps the times of files that stay the same; the index alone is looked at.
    await run(preview, ['read-tree', '-i', '-m', to], options)
    await removeFromIndex(git, index, gitlinks)
    await run(preview, ['update-index', '-q', '--refresh'], { ...options, codes: [0, 1] })
    const differing = splitNul((await run(preview, ['diff-files', '-z', '--name-only'], options)).stdout)
    const input = Buffer.concat(differing.flatMap((one) => [toBytes(one), Buffer.from([0])]))
    if (differing.length > 0)
      await run(preview, ['checkout-index', '-z', '--stdin', '--force', '--quiet'], {
        ...options,
        workTree: work,
        input,
      })
    for (const one of differing) {
      cut.throwIfAborted()
      await put(tree, toBytes(one), (parent, last) => rename(below(work, one), parent.at(last)))
    }
    for (const one of gitlinks) await put(tree, toBytes(one), (parent, last) => makeDirectory(parent, last))
    if (differing.length > 0) await run(preview, ['update-index', '-q', '--refresh'], { ...options, codes: [0, 1] })
  } finally {
    await tree.close()
  }
}

const gitlinksIn = (entries: ReadonlyMap<BytePath, Entry>): BytePath[] =>
  [...entries].filter(([, { mode }]) => mode === GITLINK).map(([one]) => one)

const below = (folder: string, one: BytePath): Buffer => Buffer.concat([Buffer.from(`${folder}/`), toBytes(one)])

/** Removes everything that the git tree does not have, and directories and files that stand in each other's place. */
async function sweep(tree: SafeDirectory, entries: ReadonlyMap<BytePath, Entry>, cut: AbortSignal): Promise<void> {
  const folders = new Set<BytePath>([''])
  for (const [one, { mode }] of entries) {
    if (mode === GITLINK) folders.add(one)
    for (let end = one.lastIndexOf('/'); end > 0; end = one.lastIndexOf('/', end - 1)) folders.add(one.slice(0, end))
  }
  for (const folder of folders) {
    cut.throwIfAborted()
    const directory = await openIfAny(tree, toBytes(folder))
    if (!directory) continue
    try {
      if (entries.get(folder)?.mode === GITLINK) {
        await emptyDirectory(directory)
        continue
      }
      for (const entry of await readdir(directory.self(), { encoding: 'buffer', withFileTypes: true })) {
        const inner = entry.name.toString('latin1')
        const full = folder === '' ? inner : `${folder}/${inner}`
        const belongs = entry.isDirectory() ? folders.has(full) : entries.has(full) && !folders.has(full)
        if (!belongs) await removeTree(directory, entry.name)
      }
    } finally {
      await directory.close()
    }
  }
}

async function openIfAny(tree: SafeDirectory, folder: Buffer): Promise<SafeDirectory | undefined> {
  const stats = folder.length === 0 ? undefined : await statPath(tree, folder)
  if (folder.length > 0 && !stats?.isDirectory()) return undefined
  return openDirectory(tree, folder)
}

async function makeDirectory(parent: SafeDirectory, name: Buffer): Promise<void> {
  if (!(await parent.stat(name))?.isDirectory()) await mkdir(parent.at(name), 0o755)
}

/** Does `use` where the path is, clearing away what keeps it from being done. */
async function put(
  tree: SafeDirectory,
  file: Buffer,
  use: (parent: SafeDirectory, name: Buffer) => Promise<void>,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await inParent(tree, file, use, true)
    } catch (error) {
      const isInTheWay = isErrno(error, 'ENOTDIR', 'ELOOP', 'EISDIR', 'EEXIST', 'ENOTEMPTY')
      if (!isInTheWay || attempt === MAX_TRIES) throw error
    }
    await clearWay(tree, file)
  }
}

async function clearWay(tree: SafeDirectory, file: Buffer): Promise<void> {
  for (let end = file.indexOf('/'); end !== -1; end = file.indexOf('/', end + 1)) {
    const folder = file.subarray(0, end)
    const stats = await statPath(tree, folder)
    if (stats && !stats.isDirectory()) return removeTree(tree, folder)
  }
  await removeTree(tree, file)
}
