/** A working tree of which sync has no notes: because they were lost, or its own repository was. */
import type { SafeDirectory } from '../safe-files/safe-directory.ts'
import { readAgentsHead } from './agents-head.ts'
import { importAgents } from './agents-import.ts'
import { applyTree } from './apply.ts'
import { isBranchName } from './branches.ts'
import { type Engine, remoteTips, rescue } from './engine.ts'
import { changeTree } from './merge.ts'
import { diffTrees, treeOf, writeCommit } from './objects.ts'
import { gitlinksOf, rebuildIndex, takeSnapshot } from './snapshot.ts'

/** The branch and commit that the agents' own repository says the working tree was made from. */
export async function baseFromAgents(
  engine: Engine,
  tree: SafeDirectory,
): Promise<{ branch: string; line: string; indexReady: false } | undefined> {
  const head = await readAgentsHead(tree)
  const { on } = head
  const { branches } = await importAgents(engine, tree, head)
  const line = on.kind === 'branch' && isBranchName(on.branch) ? branches.get(on.branch) : undefined
  return on.kind === 'branch' && line !== undefined ? { branch: on.branch, line, indexReady: false } : undefined
}

/**
 * Nothing says what the working tree was made from, so nothing says which of two versions of a file is the newer one. All of it goes to a
 * rescue branch; in the working tree the state's line wins, and files that only the working tree has stay.
 */
export async function adopt(engine: Engine, tree: SafeDirectory): Promise<void> {
  const { git, layout, state, zero } = engine
  await rebuildIndex(git, layout, state.line)
  const gitlinks = await gitlinksOf(git, state.line)
  const snapshot = await takeSnapshot({ git, layout, tree, gitlinks, untracked: [], zero })
  const lineTree = await treeOf(git, state.line)
  if (snapshot.tree === lineTree) return engine.change({ indexReady: true })
  const changes = await diffTrees(git, lineTree, snapshot.tree)
  const added = changes.filter((change) => !change.from).map((change) => [change.path, change.to] as const)
  let line = state.line
  if (added.length < changes.length) {
    const found = await writeCommit(
      git,
      snapshot.tree,
      [state.line],
      { subject: 'What the workspace held' },
      engine.now(),
    )
    const name = await rescue(engine, found, await remoteTips(engine))
    engine.told.details.add(`What the workspace held is on ${name}`)
  }
  const merged = await changeTree(git, lineTree, added, zero)
  if (merged !== lineTree)
    line = await writeCommit(git, merged, [state.line], { subject: 'Bring in the workspace' }, engine.now())
  await applyTree({ git, layout, tree, zero, now: engine.now() }, snapshot.tree, merged)
  await engine.change({ line, indexReady: true })
}
