/**
 * Agents' commits come in by `git fetch`, the one thing git is made for when a repository is not trusted (git's "security boundary" and
 * git-upload-pack(1)): upload-pack runs no hooks and honours no command in the repository's configuration.
 */

import type { SafeDirectory } from '../safe-files/safe-directory.ts'
import { statPath } from '../safe-files/safe-directory.ts'
import { type AgentsHead, inAgentsRepository } from './agents-head.ts'
import type { Engine } from './engine.ts'
import { fetchFromAgents } from './fetch.ts'
import { IMPORT_MS, IMPORT_PAUSE_MS, MAX_COMMITTED_BYTES } from './limits.ts'
import { type BytePath, listRefs } from './objects.ts'
import { type Git, GitError } from './run-git.ts'

export const AGENT_REFS = 'refs/agents/heads/'
const DETACHED = 'refs/agents/HEAD'

export type Imported = {
  /** Tips of the agents' branches. */
  readonly branches: ReadonlyMap<string, string>
  /** Why nothing could be imported; then `branches` is what was imported last. */
  readonly problem: string | undefined
}

/** Never throws for what is in the agents' repository. */
export async function importAgents(engine: Engine, tree: SafeDirectory, head: AgentsHead): Promise<Imported> {
  const { git, known } = engine
  const now = engine.now().getTime()
  if (head.on.kind !== 'none' && !(known.importAfter !== undefined && now < known.importAfter)) {
    delete known.importAfter
    const started = performance.now()
    const detached = head.on.kind === 'detached'
    known.importProblem = await inAgentsRepository(tree, (gitDir) => fetchFrom(git, gitDir, detached))
    if (performance.now() - started > IMPORT_MS / 2 && known.importProblem !== undefined)
      known.importAfter = now + IMPORT_PAUSE_MS
  }
  return { branches: await listRefs(git, AGENT_REFS), problem: known.importProblem }
}

async function fetchFrom(git: Git, gitDir: SafeDirectory, detached: boolean): Promise<string | undefined> {
  // Objects from elsewhere, sync's own repository for one, are not the agents' to publish.
  if (await statPath(gitDir, 'objects/info/alternates')) return "The workspace's own git repository uses alternates"
  try {
    const refspecs = [`+refs/heads/*:${AGENT_REFS}*`, ...(detached ? [`+HEAD:${DETACHED}`] : [])]
    await fetchFromAgents(git, gitDir, refspecs, { prune: true })
    return undefined
  } catch (error) {
    if (!(error instanceof GitError) || git.ended) throw error
    return `The workspace's own git repository could not be read: ${error.message}`.slice(0, 300)
  }
}

/**
 * A file in the commits that only `tip` has and that is too large to be pushed: hosts refuse the whole push for it, so such commits stay
 * in the workspace.
 */
async function findTooLarge(git: Git, tip: string, known: readonly string[]): Promise<BytePath | undefined> {
  const { stdout } = await git.run(['rev-list', '--objects', tip, '--not', ...known, '--remotes=origin'])
  const lines = stdout.toString('latin1').split('\n')
  const checked = await git.run(['cat-file', '--batch-check=%(objecttype) %(objectsize)', '--buffer'], {
    input: lines.map((line) => line.split(' ', 1)[0]).join('\n'),
  })
  const sizes = checked.stdout.toString('latin1').split('\n')
  const large = lines.find((_, i) => {
    const [type, size] = (sizes[i] ?? '').split(' ')
    return type === 'blob' && Number(size) > MAX_COMMITTED_BYTES
  })
  return large?.slice(large.indexOf(' ') + 1)
}

/** The path of a file in an agents' commit that is too large to be pushed; it is told. */
export async function tooLargeIn(engine: Engine, tip: string): Promise<BytePath | undefined> {
  const { known, git, state, told } = engine
  if (!known.tooLarge.has(tip)) known.tooLarge.set(tip, await findTooLarge(git, tip, [state.line]))
  const found = known.tooLarge.get(tip)
  const why = `committed with more than ${MAX_COMMITTED_BYTES / 1024 / 1024} MB: the commit stays in the workspace`
  if (found !== undefined) told.skipped.set(found, why)
  return found
}
