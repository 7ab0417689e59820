/**
 * What is in the working tree, as a tree object. git says which paths differ from the index; their contents are read by handle, so that
 * nothing an agent plants meanwhile (a link, a FIFO) is followed or waited for, and nothing outside the tree gets into a commit.
 */
import { copyFile, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { isDotGit, splitPath } from '../safe-files/paths.ts'
import { readFileAndStats, readFileIfAny, readLink } from '../safe-files/read.ts'
import { type SafeDirectory, statPath } from '../safe-files/safe-directory.ts'
import { SafeFileError } from '../safe-files/safe-file-error.ts'
import type { Layout } from './layout.ts'
import { MAX_COMMITTED_BYTES } from './limits.ts'
import {
  type BytePath,
  diffTrees,
  type Entry,
  GITLINK,
  indexInfo,
  listEntries,
  remember,
  SYMLINK,
  shownPath,
  splitNul,
  toBytes,
  writeBlobs,
} from './objects.ts'
import { writeExcludes } from './own-repository.ts'
import { type Git, GitError } from './run-git.ts'

/** Why a path is not committed, by path. */
export type Skipped = Map<BytePath, string>
export type Snapshot = {
  readonly tree: string
  readonly skipped: Skipped
  /** Paths whose content was taken anew, or that are gone: for the commit's subject. */
  readonly changed: readonly BytePath[]
}

/** Bytes of the agents' own exclude patterns that are honoured. */
const MAX_EXCLUDE_BYTES = 64 * 1024
const TOO_LARGE = `larger than ${MAX_COMMITTED_BYTES / 1024 / 1024} MB`

export type SnapshotInput = {
  readonly git: Git
  readonly layout: Layout
  readonly tree: SafeDirectory
  /** Submodules (gitlinks) that the commit shall have, unless files stand in their place. */
  readonly gitlinks: ReadonlyMap<BytePath, Entry>
  /** Paths that agents have taken out of their own commits: no longer committed when they are ignored now. */
  readonly untracked: readonly BytePath[]
  readonly zero: string
}

/** Makes the index anew for a commit. The next look at the working tree reads every file once. */
export async function rebuildIndex(git: Git, layout: Layout, commit: string): Promise<void> {
  const fresh = path.join(layout.scratch, 'fresh-index')
  await rm(fresh, { force: true })
  await git.run(['read-tree', commit], { index: fresh })
  const gitlinks = await gitlinksOf(git, commit)
  if (gitlinks.size > 0) await removeFromIndex(git, fresh, [...gitlinks.keys()])
  await git.run(['update-index', '-q', '--refresh'], { index: fresh, workTree: layout.workspace, codes: [0, 1] })
  await rename(fresh, layout.index)
}

/** Submodules of a commit. They are kept out of the index, so that git never looks into their directories, which agents write. */
export function gitlinksOf(git: Git, commit: string): Promise<ReadonlyMap<BytePath, Entry>> {
  return remember(git, `submodules ${commit}`, async () => {
    const entries = await listEntries(git, commit)
    return new Map([...entries].filter(([, entry]) => entry.mode === GITLINK))
  })
}

export async function removeFromIndex(git: Git, index: string, paths: readonly BytePath[]): Promise<void> {
  if (paths.length === 0) return
  await git.run(['update-index', '-z', '--force-remove', '--stdin'], {
    index,
    workTree: path.dirname(index),
    input: Buffer.concat(paths.flatMap((one) => [toBytes(one), Buffer.from([0])])),
  })
}

export async function takeSnapshot(input: SnapshotInput): Promise<Snapshot> {
  const { git, layout, tree } = input
  const options = { index: layout.index, workTree: layout.workspace }
  await writeExcludes(git, (await readFileIfAny(tree, '.git/info/exclude', MAX_EXCLUDE_BYTES)) ?? Buffer.alloc(0))
  await dropIgnored(input)
  await git.run(['update-index', '-q', '--refresh'], { ...options, codes: [0, 1] })
  const [changed, others] = await Promise.all([
    git.run(['diff-files', '-z', '--name-only', '--ignore-submodules=all', '--no-ext-diff'], options),
    git.run(['ls-files', '-z', '--others', '--exclude-standard'], options),
  ])
  const skipped: Skipped = new Map()
  const updates = new Map<BytePath, Entry | undefined>()
  const wanted = new Set([...splitNul(changed.stdout), ...splitNul(others.stdout)])
  const blobs: { path: BytePath; mode: string; number: number }[] = []
  const names =
    wanted.size === 0
      ? []
      : await writeBlobs(git, async (add) => {
          for (const one of wanted) {
            const found = await look(tree, one, input.gitlinks)
            if (found.is === 'skipped') skipped.set(one, found.why)
            else if (found.is === 'gone') updates.set(one, undefined)
            else if (found.is === 'content')
              blobs.push({ path: one, mode: found.mode, number: await add(found.content) })
          }
        })
  for (const blob of blobs) updates.set(blob.path, { mode: blob.mode, oid: names[blob.number] ?? '' })
  await updateIndex(input, updates, skipped)
  return { tree: await writeTree(input), skipped, changed: [...updates.keys()] }
}

type Found =
  | { readonly is: 'content'; readonly mode: string; readonly content: Buffer }
  | { readonly is: 'gone' }
  | { readonly is: 'skipped'; readonly why: string }
  | { readonly is: 'nothing' }

async function look(tree: SafeDirectory, one: BytePath, gitlinks: ReadonlyMap<BytePath, Entry>): Promise<Found> {
  // git names a repository inside the tree with a slash at its end.
  if (one.endsWith('/')) {
    return gitlinks.has(one.slice(0, -1)) ? { is: 'nothing' } : { is: 'skipped', why: 'a git repository of its own' }
  }
  const bytes = toBytes(one)
  try {
    if (splitPath(bytes).some(isDotGit)) return { is: 'skipped', why: 'named like .git' }
    const stats = await statPath(tree, bytes)
    if (!stats || stats.isDirectory()) return { is: 'gone' }
    if (stats.isSymbolicLink()) {
      const target = await readLink(tree, bytes)
      return target ? { is: 'content', mode: SYMLINK, content: target } : { is: 'gone' }
    }
    if (!stats.isFile()) return { is: 'skipped', why: 'not a plain file' }
    const { content, stats: read } = await readFileAndStats(tree, bytes, MAX_COMMITTED_BYTES)
    return { is: 'content', mode: (read.mode & 0o100n) === 0n ? '100644' : '100755', content }
  } catch (error) {
    if (!(error instanceof SafeFileError)) throw error
    if (error.code === 'not-found') return { is: 'gone' }
    return { is: 'skipped', why: error.code === 'too-large' ? TOO_LARGE : error.message }
  }
}

/** A path that git itself refuses is skipped, not a reason to commit nothing. */
async function updateIndex(
  input: SnapshotInput,
  updates: Map<BytePath, Entry | undefined>,
  skipped: Skipped,
): Promise<void> {
  if (updates.size === 0) return
  const run = (some: Iterable<readonly [BytePath, Entry | undefined]>) =>
    input.git.run(['update-index', '-z', '--replace', '--index-info'], {
      index: input.layout.index,
      input: indexInfo(some, input.zero),
    })
  // What is gone comes first, so that a directory can take a file's place.
  const ordered = [...updates].sort(([, a], [, b]) => Number(a !== undefined) - Number(b !== undefined))
  try {
    await run(ordered)
  } catch (error) {
    if (!(error instanceof GitError) || !/Invalid path|cannot add to the index|malformed/i.test(error.stderr))
      throw error
    for (const one of ordered) {
      try {
        await run([one])
      } catch {
        updates.delete(one[0])
        skipped.set(one[0], 'git does not allow this name')
      }
    }
  }
}

/** An agent ran `git rm --cached` on them: files that are ignored since are left to the agent. */
async function dropIgnored({ git, layout, tree, untracked }: SnapshotInput): Promise<void> {
  const present: BytePath[] = []
  for (const one of untracked) if ((await statPath(tree, toBytes(one)))?.isFile()) present.push(one)
  if (present.length === 0) return
  const options = { index: layout.index, workTree: layout.workspace }
  try {
    const input = Buffer.concat(present.flatMap((one) => [toBytes(one), Buffer.from([0])]))
    const args = ['check-ignore', '--no-index', '-z', '--stdin']
    const { stdout } = await git.run(args, { ...options, codes: [0, 1], input })
    await removeFromIndex(git, layout.index, splitNul(stdout))
  } catch (error) {
    // An agent put a link in the way at this moment; then they stay committed.
    if (!(error instanceof GitError) || git.ended) throw error
  }
}

/** The index's tree with the submodules in it. */
async function writeTree({ git, layout, gitlinks, zero }: SnapshotInput): Promise<string> {
  const plain = await git.text(['write-tree'], { index: layout.index })
  if (gitlinks.size === 0) return plain
  const taken = new Set<BytePath>()
  for (const one of (await listEntries(git, plain)).keys()) {
    taken.add(one)
    for (let slash = one.indexOf('/'); slash !== -1; slash = one.indexOf('/', slash + 1)) taken.add(one.slice(0, slash))
  }
  const index = path.join(layout.scratch, 'index-with-submodules')
  await copyFile(layout.index, index)
  try {
    const kept = [...gitlinks].filter(([one]) => !taken.has(one))
    await git.run(['update-index', '-z', '--index-info'], { index, input: indexInfo(kept, zero) })
    return await git.text(['write-tree'], { index })
  } finally {
    await rm(index, { force: true })
  }
}

/** Says what is not committed, for a report: the first `most` of it. */
export function shownSkipped(skipped: Skipped, most: number): { path: string; why: string }[] {
  return [...skipped].slice(0, most).map(([one, why]) => ({ path: shownPath(one), why: why.slice(0, 200) }))
}

/** Paths that `to` no longer has. */
export async function deletedBetween(git: Git, from: string, to: string): Promise<BytePath[]> {
  return (await diffTrees(git, from, to)).filter((change) => !change.to).map((change) => change.path)
}
