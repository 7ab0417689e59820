/** One round: commit, exchange with the remote, apply, bring the agents' repository up to date. */
import type { SafeDirectory } from '../safe-files/safe-directory.ts'
import { readAgentsHead } from './agents-head.ts'
import { tellRemoteBranches } from './agents-tracking.ts'
import { releaseAgentLocks, updateAgents } from './agents-update.ts'
import { applyTree } from './apply.ts'
import { type Committed, commitWorkspace, isAtWork } from './commit-workspace.ts'
import { type Engine, remoteTips } from './engine.ts'
import { type Exchanged, exchange } from './exchange.ts'
import { keepLateWrites } from './late-writes.ts'
import { isAtRemote, shownPath, treeOf } from './objects.ts'
import { ofBranch } from './state.ts'

export type RoundOutcome = {
  /** Why not everything is at the remote. */
  readonly problem: string | undefined
}

/** `last`: there is no round after it. */
export async function runRound(engine: Engine, tree: SafeDirectory, last: boolean): Promise<RoundOutcome | undefined> {
  engine.told.skipped.clear()
  await releaseAgentLocks(engine.layout, tree)
  await keepLateWrites(engine, tree, last)
  const committed = await commitWorkspace(engine, tree, last)
  if (!committed) return undefined
  const { repository } = engine.options
  const exchanged: Exchanged = repository
    ? await exchange(engine, committed, repository)
    : { line: engine.state.line, remote: undefined, problem: undefined }
  if (!repository) await keepWithoutRemote(engine)
  const isUpToDate = await follow(engine, tree, committed, exchanged)
  const isTold = isUpToDate && (await tellAgents(engine, tree, committed))
  if (repository) {
    const tip = committed.target.tip
    await tellRemoteBranches(engine, tree, await remoteTips(engine), [
      ...(isTold ? [engine.state.line] : []),
      ...(tip === undefined ? [] : [tip]),
    ])
  }
  return { problem: exchanged.problem }
}

/** Brings the working tree to what was merged. Whether all of it could be; if not, the next round does the rest. */
async function follow(
  engine: Engine,
  tree: SafeDirectory,
  committed: Committed,
  { line, remote }: Exchanged,
): Promise<boolean> {
  const { git, layout, zero, state } = engine
  const seen = remote && !state.detached ? { seen: { ...state.seen, [remote.branch]: remote.tip } } : {}
  const isSeen =
    remote === undefined || state.detached !== undefined || ofBranch(state.seen, remote.branch) === remote.tip
  if (line === state.line && isSeen) return true
  if (line !== state.line) {
    // The remote took its time: an agent may have switched to another branch since.
    const head = await readAgentsHead(tree)
    if (head.signature !== committed.signature || isAtWork(engine, head)) return false
    engine.known.wholly = false
    const to = await treeOf(git, line)
    const left = await applyTree({ git, layout, tree, zero, now: engine.now() }, committed.tree, to)
    // The line must not claim what the working tree does not have: the next commit would take it back.
    if (left.length > 0) {
      const more = left.length > 1 ? ` and ${left.length - 1} more` : ''
      engine.told.details.add(
        `Not brought in yet, because the workspace has something else there: ${shownPath(left[0] ?? '')}${more}`,
      )
      return false
    }
    engine.known.wholly = true
  }
  await engine.change({ line, ...seen })
  return true
}

/** Whether the agents' branch is where the line is. */
async function tellAgents(engine: Engine, tree: SafeDirectory, { imported, target }: Committed): Promise<boolean> {
  const { git, layout, state, zero } = engine
  const { branch, line: to } = state
  const from = imported.branches.get(branch)
  if (state.detached || from === undefined || from !== target.tip) return false
  if (!(await updateAgents({ git, layout, tree, branch, from, to, zero, now: engine.now() }))) return false
  engine.known.containedTip = to
  if (ofBranch(state.handled, branch) !== to) await engine.change({ handled: { ...state.handled, [branch]: to } })
  return true
}

/** Without a remote, what would be pushed to rescue branches is kept under names of its own. */
async function keepWithoutRemote(engine: Engine): Promise<void> {
  const { git, state } = engine
  const detached =
    state.detached && !(await isAtRemote(git, state.line)) ? [{ branch: 'detached', commit: state.line }] : []
  const kept = [...state.rescue, ...state.pending, ...detached]
  if (kept.length === 0) return
  await git.run(['update-ref', '--stdin'], {
    input: kept.map(({ commit }) => `update refs/kept/${commit} ${commit}\n`).join(''),
  })
  if (state.rescue.length > 0 || state.pending.length > 0) await engine.change({ rescue: [], pending: [] })
}
