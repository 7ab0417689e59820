/**
 * Brings the agents' repository to what the working tree now is, so that their `git status` speaks of their own changes only. Nothing of
 * git runs in it: objects, branch and index are prepared by sync's own git and put in place by handle, under git's own locks. If anything
 * is unusual it is left alone, which costs nothing: commits made there are imported as they are.
 */
import { copyFile, link, lstat, mkdir, readdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { readFileAndStats } from '../safe-files/read.ts'
import { inParent, type SafeDirectory, statPath } from '../safe-files/safe-directory.ts'
import { isErrno, SafeFileError, toSafeFileError } from '../safe-files/safe-file-error.ts'
import { hasOperation, inAgentsRepository, readAgentsHead, readBranch } from './agents-head.ts'
import { copyObjects } from './agents-objects.ts'
import type { Layout } from './layout.ts'
import { STAGED_PATIENCE_MS } from './limits.ts'
import { indexInfo, listEntries, treeOf } from './objects.ts'
import { type Git, GitError } from './run-git.ts'
import { gitlinksOf } from './snapshot.ts'
import { SyncProblem } from './types.ts'

export type AgentsUpdate = {
  readonly git: Git
  readonly layout: Layout
  readonly tree: SafeDirectory
  readonly branch: string
  /** Where the branch was when it was imported, and where it is to be. */
  readonly from: string
  readonly to: string
  readonly zero: string
  readonly now: Date
}

const MAX_INDEX_BYTES = 64 * 1024 * 1024

/** Whether it was done. Throws only for what is wrong on our own side. */
export async function updateAgents(update: AgentsUpdate): Promise<boolean> {
  if (update.from === update.to) return true
  await mkdir(update.layout.scratch, { recursive: true })
  await releaseAgentLocks(update.layout, update.tree)
  try {
    return (await inAgentsRepository(update.tree, (gitDir) => updateIn(gitDir, update))) ?? false
  } catch (error) {
    // Something in it is not what it is in a repository of git's making.
    if (toSafeFileError(error).code !== 'no-space' && !(error instanceof SyncProblem)) return false
    throw error
  } finally {
    await releaseAgentLocks(update.layout, update.tree)
  }
}

async function updateIn(gitDir: SafeDirectory, update: AgentsUpdate): Promise<boolean> {
  const { branch, from, layout } = update
  const before = await unusualOr(gitDir, update)
  if (before === undefined) return false
  const index = await prepareIndex(update)
  if (index === undefined) return false
  await copyObjects(update, gitDir, [update.to], [from])
  await mkdir(layout.agentLocks, { recursive: true })
  const lockedIndex = path.join(layout.agentLocks, 'index')
  const lockedBranch = path.join(layout.agentLocks, 'branch')
  await rename(index, lockedIndex)
  await writeFile(path.join(layout.agentLocks, 'name'), branch)
  await writeFile(lockedBranch, `${update.to}\n`)
  const taken =
    (await takeLock(gitDir, 'index.lock', lockedIndex)) &&
    (await takeLock(gitDir, `refs/heads/${branch}.lock`, lockedBranch))
  // Under the locks nothing can change that has not changed until here.
  const now = taken ? await unusualOr(gitDir, update, true) : undefined
  if (now === undefined || now !== before || (await readBranch(gitDir, branch)) !== from) return false
  await moveInto(gitDir, `refs/heads/${branch}.lock`, `refs/heads/${branch}`)
  await moveInto(gitDir, 'index.lock', 'index')
  return true
}

/** What the index is, to see a change; undefined when the repository is to be left alone. */
async function unusualOr(gitDir: SafeDirectory, update: AgentsUpdate, locked = false): Promise<string | undefined> {
  const head = await readAgentsHead(update.tree)
  if (head.on.kind !== 'branch' || head.on.branch !== update.branch) return undefined
  if (!locked && head.lockedSince !== undefined) return undefined
  if ((await hasOperation(gitDir)) || (await readBranch(gitDir, update.branch)) !== update.from) return undefined
  const index = await statPath(gitDir, 'index')
  if (!index) return 'none'
  const signature = `${index.ino} ${index.size} ${index.mtimeNs}`
  return locked || (await isNothingStaged(gitDir, update, Number(index.mtimeMs))) ? signature : undefined
}

/**
 * Whether the agents' index may be replaced: nothing is staged, or it has been for long and each staged content is in the working tree or
 * in the branch, so that nothing is lost with it.
 */
async function isNothingStaged(gitDir: SafeDirectory, update: AgentsUpdate, changedAt: number): Promise<boolean> {
  const { git, layout, from, to } = update
  const { content } = await readFileAndStats(gitDir, 'index', MAX_INDEX_BYTES)
  const copy = path.join(layout.scratch, 'agents-index')
  await writeFile(copy, content)
  try {
    const { stdout } = await git.run(
      ['diff-index', '--cached', '--raw', '-z', '--no-abbrev', '--no-renames', '--ignore-submodules=all', from],
      { index: copy },
    )
    if (stdout.length === 0) return true
    if (update.now.getTime() - changedAt < STAGED_PATIENCE_MS) return false
    const kept = await listEntries(git, to)
    const fields = stdout.toString('latin1').split('\0')
    for (let i = 0; i + 1 < fields.length; i += 2) {
      const [, , , oid = '', status = ''] = (fields[i] ?? '').split(' ')
      if (status !== 'D' && kept.get(fields[i + 1] ?? '')?.oid !== oid) return false
    }
    return true
  } catch (error) {
    // Not an index that our git reads, or one with parts elsewhere.
    if (error instanceof GitError && !git.ended) return false
    throw error
  } finally {
    await rm(copy, { force: true })
  }
}

/** Our own index, which knows the files' times, with the submodules that it leaves out; undefined when it is not exactly `to`. */
async function prepareIndex({ git, layout, to, zero }: AgentsUpdate): Promise<string | undefined> {
  const index = path.join(layout.scratch, 'index-for-agents')
  await copyFile(layout.index, index)
  const gitlinks = await gitlinksOf(git, to)
  if (gitlinks.size > 0)
    await git.run(['update-index', '-z', '--index-info'], { index, input: indexInfo(gitlinks, zero) })
  const tree = await git.text(['write-tree'], { index })
  return tree === (await treeOf(git, to)) ? index : undefined
}

/** A lock of git's is a file that is made, not replaced; ours is a second name of a file that we know again after a kill. */
async function takeLock(gitDir: SafeDirectory, lock: string, file: string): Promise<boolean> {
  try {
    await inParent(gitDir, lock, (parent, name) => link(file, parent.at(name)), lock.startsWith('refs/'))
    return true
  } catch (error) {
    if (error instanceof SafeFileError || isErrno(error, 'EEXIST', 'ENOENT', 'ENOTDIR', 'ELOOP')) return false
    throw error
  }
}

async function moveInto(gitDir: SafeDirectory, from: string, to: string): Promise<void> {
  await inParent(gitDir, to, (parent, name) =>
    inParent(gitDir, from, (sameParent, lock) => rename(sameParent.at(lock), parent.at(name))),
  )
}

/** Removes locks that are ours: those that are the same file as the one kept in `agentLocks`. */
export async function releaseAgentLocks(layout: Layout, tree: SafeDirectory): Promise<void> {
  const names = await readdir(layout.agentLocks).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  })
  if (names === undefined) return
  await inAgentsRepository(tree, async (gitDir) => {
    const branch = await readFile(path.join(layout.agentLocks, 'name'), 'utf8').catch(() => undefined)
    await releaseOne(gitDir, 'index.lock', path.join(layout.agentLocks, 'index'))
    if (branch !== undefined)
      await releaseOne(gitDir, `refs/heads/${branch}.lock`, path.join(layout.agentLocks, 'branch'))
  })
  await rm(layout.agentLocks, { recursive: true, force: true })
}

async function releaseOne(gitDir: SafeDirectory, lock: string, file: string): Promise<void> {
  const ours = await inode(file)
  if (ours === undefined) return
  const standing = await statPath(gitDir, lock)
  if (standing?.ino === ours) await inParent(gitDir, lock, (parent, name) => unlink(parent.at(name)))
}

async function inode(file: string): Promise<bigint | undefined> {
  try {
    return (await lstat(file, { bigint: true })).ino
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
}
