/** Which branch the content of the working tree belongs to, and which commit it was made from. */
import type { AgentsHead } from './agents-head.ts'
import type { Imported } from './agents-import.ts'
import { isBranchName } from './branches.ts'
import { type Engine, isWithAgents } from './engine.ts'
import { emptyCommit, hasObject, isOnBranch } from './objects.ts'
import type { State } from './state.ts'

export type Target = {
  /** The agents' tip that the next commit is to contain; undefined when they have none, or none that is known. */
  readonly tip: string | undefined
  /** An agent's git may have put older files back: HEAD was written, on the same branch. */
  readonly touched: boolean
}

/** Follows the agents' HEAD. Afterwards the state's `branch`, `detached` and `line` are where the working tree's content goes. */
export async function chooseTarget(engine: Engine, head: AgentsHead, imported: Imported): Promise<Target> {
  const { state } = engine
  const touched = state.headSeen !== undefined && state.headSeen !== head.signature
  switch (head.on.kind) {
    case 'none':
      return { tip: undefined, touched: false }
    case 'detached':
      return detach(engine, (await hasObject(engine.git, head.on.commit)) ? head.on.commit : undefined)
    case 'branch': {
      const { branch } = head.on
      const tip = imported.branches.get(branch)
      // Not a name to push to.
      if (!isBranchName(branch)) return detach(engine, tip)
      if (branch === state.branch && !state.detached) return { tip, touched }
      if (tip !== undefined) await moveTo(engine, { branch, line: tip, detached: undefined })
      // Unknown what the working tree was made from: its content must not get onto that branch.
      else if (imported.problem !== undefined) return detach(engine, undefined)
      // A fresh `git init`: nothing was checked out.
      else if (imported.branches.size === 0) return { tip: undefined, touched: false }
      // `git switch --orphan`: it begins with what is in the working tree.
      else
        await moveTo(engine, {
          branch,
          line: await emptyCommit(engine.git, `Begin ${branch}`, engine.now()),
          detached: undefined,
        })
      return { tip, touched: false }
    }
  }
}

async function detach(engine: Engine, commit: string | undefined): Promise<Target> {
  const { detached, branch, line } = engine.state
  if (!detached) await moveTo(engine, { branch, line: commit ?? line, detached: { at: commit ?? line } })
  else if (commit !== undefined && commit !== detached.at)
    await engine.change({ detached: { ...detached, at: commit } })
  return { tip: commit, touched: false }
}

/** Leaves the line that the working tree was on; what only it has is to be pushed from where it is. */
export async function moveTo(
  engine: Engine,
  to: Pick<State, 'branch' | 'line'> & { detached: State['detached'] },
): Promise<void> {
  const { state } = engine
  const part: Partial<State> = { ...to, indexReady: false }
  delete engine.known.containedTip
  const left = { branch: state.branch, commit: state.line }
  const isElsewhere =
    state.detached !== undefined ||
    (await isOnBranch(engine.git, state.line)) ||
    (!engine.options.repository && (await isWithAgents(engine, state.line)))
  if (!isElsewhere) part.pending = [...state.pending, left]
  await engine.change(part)
}
