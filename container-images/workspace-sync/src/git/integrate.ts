/** What becomes of a branch when both sides have moved on. Decides and writes objects; pushes and applies nothing. */
import { type Engine, rescue } from './engine.ts'
import { mergeCommits, mergeTrees } from './merge.ts'
import { type BytePath, countApart, isAncestor, isOnBranch, shownPath, treeOf, writeCommit } from './objects.ts'
import { ofBranch } from './state.ts'

export type Integrated = {
  /** What the working tree's line is to become. */
  readonly line: string
  /** What the remote's branch is to become; undefined when it needs nothing. */
  readonly push: string | undefined
}

const MOST_SHOWN = 20

/** `tip`: the remote's branch as it was fetched, undefined when there is none. `seen`: its tip that the line has taken into account. */
export async function integrate(
  engine: Engine,
  branch: string,
  tip: string | undefined,
  tips: ReadonlyMap<string, string>,
): Promise<Integrated> {
  const { git, state } = engine
  const { line } = state
  if (tip === undefined) return { line, push: (await isWorthABranch(engine)) ? line : undefined }
  const seen = ofBranch(state.seen, branch)
  if (seen !== undefined && !(await isAncestor(git, seen, tip)))
    return followForced(engine, { branch, tip, seen, tips })
  const apart = await countApart(git, line, tip)
  if (apart.left === 0) return { line: tip, push: undefined }
  if (apart.right === 0) return { line, push: line }
  if (await isOnlyTheBeginning(engine)) return { line: tip, push: undefined }
  const merged = await mergeCommits(git, tip, line, engine.zero)
  if (merged.conflicts.length > 0)
    return keepBoth(engine, { tip, tree: merged.tree, conflicts: merged.conflicts, tips })
  const merge = await writeCommit(
    git,
    merged.tree,
    [tip, line],
    { subject: `Merge the workspace into ${branch}` },
    engine.now(),
  )
  return { line: merge, push: merge }
}

/** A branch that the remote has not, or no longer: made when it has something that is on no other. */
async function isWorthABranch(engine: Engine): Promise<boolean> {
  return !(await isOnlyTheBeginning(engine)) && !(await isOnBranch(engine.git, engine.state.line))
}

/** The empty commit that an empty workspace begins with. */
async function isOnlyTheBeginning({ git, state }: Engine): Promise<boolean> {
  const { stdout } = await git.run(['rev-list', '--max-count=2', '--parents', state.line])
  if (stdout.toString().trim() !== state.line) return false
  return (await git.run(['ls-tree', state.line])).stdout.length === 0
}

type Conflict = {
  readonly tip: string
  readonly tree: string
  readonly conflicts: readonly BytePath[]
  readonly tips: ReadonlyMap<string, string>
}

/**
 * The line goes to a rescue branch as it is; the branch itself goes on from the remote, with everything that could be merged. It is no
 * merge commit: merging the rescue branch by hand must meet the same conflicts, not "already up to date".
 */
async function keepBoth(engine: Engine, { tip, tree, conflicts, tips }: Conflict): Promise<Integrated> {
  const { git, state } = engine
  const name = await rescue(engine, state.line, tips)
  const shown = conflicts.slice(0, MOST_SHOWN).map(shownPath)
  engine.told.details.add(
    `The workspace's version of ${shown[0]}${conflicts.length > 1 ? ` and ${conflicts.length - 1} more` : ''} is on ${name}`,
  )
  if (tree === (await treeOf(git, tip))) return { line: tip, push: undefined }
  const body = [
    'Could not be merged, and are as the remote has them:',
    ...shown.map((path) => `  ${path}`),
    ...(conflicts.length > MOST_SHOWN ? [`  and ${conflicts.length - MOST_SHOWN} more`] : []),
    `The workspace's versions are on ${name}.`,
  ]
  const commit = await writeCommit(git, tree, [tip], { subject: 'Bring in the workspace', body }, engine.now())
  return { line: commit, push: commit }
}

type Forced = {
  readonly branch: string
  readonly tip: string
  readonly seen: string
  readonly tips: ReadonlyMap<string, string>
}

/**
 * The remote's history was rewritten. The line goes to a rescue branch, most often with all of the old history; the new one is followed,
 * with what the workspace has changed since the old tip on top. The old commits must not come back by a merge.
 */
async function followForced(engine: Engine, { branch, tip, seen, tips }: Forced): Promise<Integrated> {
  const { git, state, zero } = engine
  const { line } = state
  const containsOld = await isAncestor(git, seen, line)
  if (await isAncestor(git, line, tip)) return { line: tip, push: undefined }
  const name = await rescue(engine, line, tips)
  engine.told.details.add(`The history of ${branch} was rewritten; what it was is on ${name}`)
  const old = await treeOf(git, seen)
  const ours = containsOld ? await treeOf(git, line) : (await mergeCommits(git, seen, line, zero)).tree
  if (ours === old) return { line: tip, push: undefined }
  const merged = await mergeTrees(git, { base: old, first: await treeOf(git, tip), second: ours }, zero)
  if (merged.tree === (await treeOf(git, tip))) return { line: tip, push: undefined }
  const text = {
    subject: 'Bring in the workspace',
    body: [`The remote's history was rewritten; the workspace's is on ${name}.`],
  }
  const commit = await writeCommit(git, merged.tree, [tip], text, engine.now())
  return { line: commit, push: commit }
}
