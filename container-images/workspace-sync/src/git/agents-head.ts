/** What the agents' own repository says about itself. It is theirs to write: everything is read by handle and taken as a claim. */
import { readFileIfAny } from '../safe-files/read.ts'
import { openDirectory, type SafeDirectory, statPath } from '../safe-files/safe-directory.ts'
import { SafeFileError } from '../safe-files/safe-file-error.ts'

export type AgentsHead = {
  readonly on:
    | { readonly kind: 'branch'; readonly branch: string }
    | { readonly kind: 'detached'; readonly commit: string }
    /** There is no repository, or none that is understood. */
    | { readonly kind: 'none' }
  /** Another text when an agent's git has written HEAD since. */
  readonly signature: string
  /** Since when a git command of agents changes the index, in epoch milliseconds; undefined when none does. */
  readonly lockedSince: number | undefined
}

const NONE: AgentsHead = { on: { kind: 'none' }, signature: '', lockedSince: undefined }

/** Calls `use` with the handle of the agents' `.git`; undefined when it is no directory (a link and a gitfile are not followed). */
export async function inAgentsRepository<T>(
  tree: SafeDirectory,
  use: (gitDir: SafeDirectory) => Promise<T>,
): Promise<T | undefined> {
  let gitDir: SafeDirectory
  try {
    gitDir = await openDirectory(tree, '.git')
  } catch (error) {
    if (error instanceof SafeFileError) return undefined
    throw error
  }
  try {
    return await use(gitDir)
  } finally {
    await gitDir.close()
  }
}

export async function readAgentsHead(tree: SafeDirectory): Promise<AgentsHead> {
  return (await inAgentsRepository(tree, readHead)) ?? NONE
}

async function readHead(gitDir: SafeDirectory): Promise<AgentsHead> {
  const stats = await statPath(gitDir, 'HEAD')
  const text = (await readFileIfAny(gitDir, 'HEAD', 1024))?.toString('utf8').trimEnd()
  if (!stats || text === undefined) return NONE
  const lock = await statPath(gitDir, 'index.lock')
  const common = {
    signature: `${stats.ino} ${stats.mtimeNs} ${text}`,
    lockedSince: lock && Number(lock.mtimeMs),
  }
  const branch = /^ref: *refs\/heads\/(.+)$/.exec(text)?.[1]
  if (branch !== undefined) return { on: { kind: 'branch', branch }, ...common }
  if (/^[0-9a-f]{40}([0-9a-f]{24})?$/.test(text)) return { on: { kind: 'detached', commit: text }, ...common }
  return { on: { kind: 'none' }, ...common }
}

/** Files and folders that git keeps while a merge, rebase and the like is under way. */
const OPERATIONS = [
  'MERGE_HEAD',
  'CHERRY_PICK_HEAD',
  'REVERT_HEAD',
  'BISECT_LOG',
  'rebase-merge',
  'rebase-apply',
  'sequencer',
]

export async function hasOperation(gitDir: SafeDirectory): Promise<boolean> {
  for (const name of OPERATIONS) if (await statPath(gitDir, name)) return true
  return false
}

/** The commit of a branch, from its own file or from `packed-refs`; undefined when neither has it, or it is kept otherwise. */
export async function readBranch(gitDir: SafeDirectory, branch: string): Promise<string | undefined> {
  if (await statPath(gitDir, 'reftable')) return undefined
  const loose = (await readFileIfAny(gitDir, `refs/heads/${branch}`, 1024))?.toString('utf8').trimEnd()
  if (loose !== undefined) return /^[0-9a-f]{40,64}$/.test(loose) ? loose : undefined
  const packed = (await readFileIfAny(gitDir, 'packed-refs', 8 * 1024 * 1024))?.toString('utf8') ?? ''
  for (const line of packed.split('\n')) if (line.endsWith(` refs/heads/${branch}`)) return line.split(' ', 1)[0]
  return undefined
}
