/**
 * Brings the working tree from one tree to another while agents write to it. Each path changes only if it still has what the first tree
 * says, and what it had is moved away, not overwritten: a write that slips in between is found there and put back. New content
 * is linked into place, which fails where an agent has just made a file.
 */
import { randomBytes } from 'node:crypto'
import { type BigIntStats, linkSync, mkdirSync, renameSync, symlinkSync } from 'node:fs'
import { lstat, mkdir, readdir, readlink, rm, rmdir } from 'node:fs/promises'
import path from 'node:path'
import { isDotGit, splitPath } from '../safe-files/paths.ts'
import { inParent, openDirectory, type SafeDirectory, statPath } from '../safe-files/safe-directory.ts'
import { isErrno, SafeFileError } from '../safe-files/safe-file-error.ts'
import { hashPath } from './hash.ts'
import type { Layout } from './layout.ts'
import { type BytePath, type Change, diffTrees, type Entry, GITLINK, indexInfo, SYMLINK, toBytes } from './objects.ts'
import { finishJournal, startJournal } from './replaced.ts'
import type { Git } from './run-git.ts'

/** Levels of empty directories that are removed to make room. */
const MAX_EMPTY_DEPTH = 20

export type ApplyInput = {
  readonly git: Git
  readonly layout: Layout
  readonly tree: SafeDirectory
  readonly zero: string
  readonly now: Date
}

/** Answers the paths that are not as in `to`; they are as agents have them. The index then has `to` for all others. */
export async function applyTree(input: ApplyInput, from: string, to: string): Promise<BytePath[]> {
  const changes = (await diffTrees(input.git, from, to)).map((change, number) => ({ ...change, number }))
  if (changes.length === 0) return []
  const staging = await stage(input, changes)
  const replaced = path.join(input.layout.replaced, `${input.now.getTime()}-${randomBytes(4).toString('hex')}`)
  await startJournal(replaced, changes)
  const left: BytePath[] = []
  const done: [BytePath, Entry | undefined][] = []
  for (const change of inOrder(changes)) {
    const aside = path.join(replaced, String(change.number))
    if (!(await applyChange(input.tree, change, aside, staging))) left.push(change.path)
    else if (change.to?.mode !== GITLINK) done.push([change.path, change.to])
  }
  await updateIndex(input, done)
  await finishJournal(replaced, changes)
  await rm(staging, { recursive: true, force: true })
  return left
}

/** Removals first, the deepest before their directories, so that a file can take a directory's place and the other way round. */
function inOrder<T extends Change>(changes: readonly T[]): T[] {
  const removals = changes.filter((change) => !change.to).sort((a, b) => (a.path < b.path ? 1 : -1))
  return [...removals, ...changes.filter((change) => change.to)]
}

const isPlain = (entry: Entry | undefined) => entry !== undefined && /^(100644|100755|120000)$/.test(entry.mode)
const isNamedLikeDotGit = (one: BytePath) => splitPath(toBytes(one)).some(isDotGit)

/** New contents as files of our own, at the paths that they will have. */
async function stage({ git, layout, zero }: ApplyInput, changes: readonly Change[]): Promise<string> {
  const staging = path.join(layout.scratch, 'apply')
  const index = path.join(layout.scratch, 'apply-index')
  await rm(staging, { recursive: true, force: true })
  await rm(index, { force: true })
  await mkdir(staging, { recursive: true })
  const files = changes.filter((change) => isPlain(change.to) && !isNamedLikeDotGit(change.path))
  if (files.length === 0) return staging
  const entries = files.map((change) => [change.path, change.to] as const)
  await git.run(['update-index', '-z', '--index-info'], { index, input: indexInfo(entries, zero) })
  await git.run(['checkout-index', '--all', '--force', '--quiet'], { index, workTree: staging })
  return staging
}

/** Whether the path now is as `change.to` says. */
async function applyChange(tree: SafeDirectory, change: Change, aside: string, staging: string): Promise<boolean> {
  const { from, to } = change
  const bytes = toBytes(change.path)
  try {
    if (isNamedLikeDotGit(change.path) || (to && to.mode !== GITLINK && !isPlain(to))) return false
    if (from?.mode === GITLINK) {
      // What is in a submodule's directory is the agents' own.
      if (!(await removeEmpty(tree, bytes))) return to === undefined
    }
    let present = await hashPath(tree, bytes, (to ?? from)?.oid.length === 64)
    if (to?.mode === GITLINK && present?.stats.isDirectory()) return true
    // git does not know of empty directories: nothing stands there for it.
    if (present?.stats.isDirectory() && (await removeEmptyTree(tree, bytes))) present = undefined
    if (same(present?.entry, to)) return true
    if (!same(present?.entry, from?.mode === GITLINK ? undefined : from)) return false
    const put = to && (await placing(to, Buffer.concat([Buffer.from(`${staging}/`), bytes])))
    const use = (parent: SafeDirectory, name: Buffer) =>
      replace({ place: parent.at(name), aside, put, before: present?.stats })
    const applied = await inParent(tree, bytes, use, to !== undefined)
    if (!to) await removeEmptyParents(tree, bytes)
    return applied
  } catch (error) {
    // A directory of agents stands in its place, or a file where a directory is to be.
    const expected = ['ENOENT', 'ENOTDIR', 'ELOOP', 'EISDIR', 'EEXIST', 'ENOTEMPTY', 'EACCES', 'ENAMETOOLONG']
    if (error instanceof SafeFileError || isErrno(error, ...expected)) return false
    throw error
  }
}

const same = (a: Entry | undefined, b: Entry | undefined) => a?.mode === b?.mode && a?.oid === b?.oid

/** How the new content gets to a place where nothing stands: one call that fails with EEXIST if something does. */
async function placing(to: Entry, staged: Buffer): Promise<(place: Buffer) => void> {
  if (to.mode === GITLINK) return (place) => mkdirSync(place)
  if (to.mode !== SYMLINK) return (place) => linkSync(staged, place)
  const target = await readlink(staged, { encoding: 'buffer' })
  return (place) => symlinkSync(target, place)
}

type Replacing = {
  readonly place: Buffer
  readonly aside: string
  readonly put: ((place: Buffer) => void) | undefined
  /** What was compared; undefined: nothing stood there. */
  readonly before: BigIntStats | undefined
}

async function replace({ place, aside, put, before }: Replacing): Promise<boolean> {
  // Without a pause from here to where the new content stands: meanwhile readers see no file.
  if (before) renameSync(place, aside)
  let applied = true
  try {
    put?.(place)
  } catch (error) {
    applied = false
    // An agent made one at this very moment: it stays.
    if (!isErrno(error, 'EEXIST')) {
      if (before) linkSync(aside, place)
      throw error
    }
  }
  if (!before || sameFile(before, await lstat(aside, { bigint: true }))) return applied
  // An agent wrote to it after it had been compared: its version comes back, ours is in the history.
  if (applied && put) renameSync(place, `${aside}.ours`)
  try {
    linkSync(aside, place)
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error
  }
  return false
}

/** Without the time of the inode's change, which renaming itself sets. */
const sameFile = (a: BigIntStats, b: BigIntStats) =>
  a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs && a.mode === b.mode

/** Whether nothing, or no directory, stands there any more. */
async function removeEmpty(tree: SafeDirectory, directory: Buffer): Promise<boolean> {
  try {
    await inParent(tree, directory, (parent, name) => rmdir(parent.at(name)))
    return true
  } catch (error) {
    if (isErrno(error, 'ENOTEMPTY', 'EEXIST')) return false
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return true
    throw error
  }
}

/** Whether the directory had nothing but directories in it, and is gone. */
async function removeEmptyTree(tree: SafeDirectory, path: Buffer, depth = 0): Promise<boolean> {
  if (depth > MAX_EMPTY_DEPTH) return false
  const directory = await openDirectory(tree, path)
  let names: Buffer[]
  try {
    names = await readdir(directory.self(), { encoding: 'buffer' })
  } finally {
    await directory.close()
  }
  for (const name of names) {
    const inner = Buffer.concat([path, Buffer.from('/'), name])
    if (!(await statPath(tree, inner))?.isDirectory()) return false
    if (!(await removeEmptyTree(tree, inner, depth + 1))) return false
  }
  return removeEmpty(tree, path)
}

async function removeEmptyParents(tree: SafeDirectory, file: Buffer): Promise<void> {
  for (let end = file.lastIndexOf('/'); end > 0; end = file.lastIndexOf('/', end - 1)) {
    if (!(await removeEmpty(tree, file.subarray(0, end)))) return
  }
}

async function updateIndex(
  { git, layout, zero }: ApplyInput,
  done: readonly [BytePath, Entry | undefined][],
): Promise<void> {
  if (done.length === 0) return
  const { index, workspace } = layout
  const ordered = done.toSorted(([, a], [, b]) => Number(a !== undefined) - Number(b !== undefined))
  await git.run(['update-index', '-z', '--replace', '--index-info'], { index, input: indexInfo(ordered, zero) })
  await git.run(['update-index', '-q', '--refresh'], { index, workTree: workspace, codes: [0, 1] })
}
