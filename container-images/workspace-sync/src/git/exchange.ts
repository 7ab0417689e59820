/** The second half of a round: fetch, decide what each branch becomes, push; again when the remote has moved meanwhile. */

import { tooLargeIn } from './agents-import.ts'
import { findClash, isBranchName, isRescue, rescueName } from './branches.ts'
import type { Committed } from './commit-workspace.ts'
import { type Engine, remoteTips, rescue } from './engine.ts'
import { type Integrated, integrate } from './integrate.ts'
import { MAX_AGENT_BRANCHES, MAX_PUSH_ATTEMPTS } from './limits.ts'
import { mergeCommits } from './merge.ts'
import { isAncestor, isAtRemote, isOnBranch, writeCommit } from './objects.ts'
import { askDefaultBranch, fetchRemote, type PushOutcome, pushCommits } from './remote.ts'
import { ofBranch } from './state.ts'
import { type RemoteRepository, SyncProblem } from './types.ts'

export type Exchanged = {
  /** What the working tree is to become; the line itself when nothing was merged. */
  readonly line: string
  /** The remote's branch, and its tip that `line` takes into account. */
  readonly remote: { readonly branch: string; readonly tip: string } | undefined
  /** Why not everything is at the remote. */
  readonly problem: string | undefined
}

/** Never throws for what the remote does; `problem` says it. */
export async function exchange(engine: Engine, committed: Committed, remote: RemoteRepository): Promise<Exchanged> {
  await queueAgentBranches(engine, committed)
  const refused = new Map<string, string>()
  let integrated: Integrated = { line: engine.state.line, push: undefined }
  let branch = engine.state.branch
  let problem: string | undefined
  let tip: string | undefined
  let before: ReadonlyMap<string, string> = await remoteTips(engine)
  try {
    for (let attempt = 1; ; attempt++) {
      await fetchRemote(engine.git, remote)
      const tips = await remoteTips(engine)
      branch = await nameAtRemote(engine, remote, tips)
      if (engine.state.detached) await rescueDetached(engine)
      else integrated = await integrate(engine, branch, tips.get(branch), tips)
      tip = tips.get(branch)
      await keepRewritten(engine, [branch, engine.state.defaultBranch], before, tips)
      before = tips
      await avoidClash(engine, branch, integrated, tips, refused)
      const pushes = await collectPushes(engine, { branch, integrated, tips, refused })
      if (pushes.size === 0) break
      const outcomes = await pushCommits(engine.git, remote, pushes)
      if (outcomes.get(branch)?.outcome === 'pushed') tip = pushes.get(branch)
      const again = await takeOutcomes(engine, pushes, outcomes, refused, tips)
      if (!again) break
      if (attempt === MAX_PUSH_ATTEMPTS)
        throw new SyncProblem('The remote kept changing while it was pushed to', 'unpushed')
    }
  } catch (error) {
    if (!(error instanceof SyncProblem) || error.state !== 'unpushed' || engine.options.signal.aborted) throw error
    problem = error.message
  }
  for (const [name, reason] of refused) problem ??= `The remote does not take ${name}: ${reason}`
  return { line: integrated.line, remote: tip === undefined ? undefined : { branch, tip }, problem }
}

/**
 * Tips that were there and are on no branch of the remote any more go to rescue branches: of the branch that the working tree is on, and
 * of the default branch. Others are rewritten and removed as a matter of course, after their merge for instance.
 */
async function keepRewritten(
  engine: Engine,
  branches: readonly string[],
  before: ReadonlyMap<string, string>,
  tips: ReadonlyMap<string, string>,
): Promise<void> {
  const { git, state } = engine
  const fetched = { ...state.fetched }
  for (const branch of new Set(branches)) {
    const tip = tips.get(branch)
    for (const old of new Set([ofBranch(state.fetched, branch), before.get(branch)])) {
      if (old === undefined || old === tip || (await isAtRemote(git, old)) || (await isInRescue(engine, old))) continue
      // The line is pushed, with all that it has.
      if (branch === state.branch && tip === undefined && (await isAncestor(git, old, state.line))) continue
      const name = await rescue(engine, old, tips)
      engine.told.details.add(`The history of ${branch} was rewritten; what it was is on ${name}`)
    }
    if (tip === undefined) delete fetched[branch]
    else fetched[branch] = tip
  }
  if (JSON.stringify(fetched) !== JSON.stringify(state.fetched)) await engine.change({ fetched })
}

async function isInRescue(engine: Engine, commit: string): Promise<boolean> {
  for (const one of engine.state.rescue) if (await isAncestor(engine.git, commit, one.commit)) return true
  return false
}

/** Agents' branches that the working tree is not on, when they have moved: to be brought to the remote under their own names. */
async function queueAgentBranches(engine: Engine, { imported }: Committed): Promise<void> {
  const { state } = engine
  const handled: Record<string, string> = {}
  const pending = [...state.pending]
  let looked = 0
  for (const [name, tip] of imported.branches) {
    const before = ofBranch(state.handled, name)
    if (before !== undefined) handled[name] = before
    const isOwn = name === state.branch && !state.detached
    if (before === tip || isOwn || looked >= MAX_AGENT_BRANCHES) continue
    looked++
    handled[name] = tip
    if (await isOnBranch(engine.git, tip)) continue
    if ((await tooLargeIn(engine, tip)) === undefined) pending.push({ branch: name, commit: tip })
  }
  const same = (a: object, b: object) => JSON.stringify(a) === JSON.stringify(b)
  if (!same(handled, state.handled) || pending.length !== state.pending.length)
    await engine.change({ handled, pending })
}

/**
 * The remote's name for the branch the working tree is on. When the default branch is gone and the remote has another default now, it was
 * renamed, and the workspace follows.
 */
async function nameAtRemote(
  engine: Engine,
  remote: RemoteRepository,
  tips: ReadonlyMap<string, string>,
): Promise<string> {
  const { branch, defaultBranch, renamed, seen } = engine.state
  const followed = ofBranch(renamed, branch)
  if (tips.has(branch)) {
    if (followed !== undefined && followed !== branch)
      await engine.change({ renamed: { ...renamed, [branch]: branch } })
    return branch
  }
  if (followed !== undefined && tips.has(followed)) return followed
  if (branch !== defaultBranch || ofBranch(seen, branch) === undefined || tips.size === 0) return followed ?? branch
  const head = await askDefaultBranch(engine.git, remote)
  if (head.branch === undefined || head.branch === branch || !tips.has(head.branch)) return branch
  await engine.change({ renamed: { ...renamed, [branch]: head.branch } })
  engine.told.details.add(`${branch} is called ${head.branch} at the remote now`)
  return head.branch
}

/** The working tree is on no branch: what is in it goes to one rescue branch as long as that lasts. */
async function rescueDetached(engine: Engine): Promise<void> {
  const { state, git } = engine
  if (!state.detached || (await isAtRemote(git, state.line))) return
  const name = state.detached.rescue ?? rescueName(engine.now(), state.line)
  const others = state.rescue.filter((one) => one.branch !== name)
  await engine.change({
    detached: { ...state.detached, rescue: name },
    rescue: [...others, { branch: name, commit: state.line }],
  })
  engine.told.details.add(`The workspace is on no branch; what is in it is on ${name}`)
}

type Collecting = {
  readonly branch: string
  readonly integrated: Integrated
  readonly tips: ReadonlyMap<string, string>
  readonly refused: ReadonlyMap<string, string>
}

/** At most one commit a branch; what has to wait for another push comes in the next attempt. */
async function collectPushes(
  engine: Engine,
  { branch, integrated, tips, refused }: Collecting,
): Promise<Map<string, string>> {
  const pushes = new Map<string, string>()
  if (integrated.push !== undefined && !engine.state.detached && !refused.has(branch))
    pushes.set(branch, integrated.push)
  for (const one of [...engine.state.pending]) {
    if (pushes.has(one.branch) || refused.has(one.branch)) continue
    const commit = await bringOther(engine, one, tips)
    if (commit !== undefined) pushes.set(one.branch, commit)
  }
  for (const one of [...engine.state.rescue]) {
    if (tips.get(one.branch) === one.commit) await settle(engine, one.branch, one.commit)
    else if (!refused.has(one.branch)) pushes.set(one.branch, one.commit)
  }
  return pushes
}

/** The branch cannot be made at the remote, because of another one's name. */
async function avoidClash(
  engine: Engine,
  branch: string,
  { push }: Integrated,
  tips: ReadonlyMap<string, string>,
  refused: Map<string, string>,
): Promise<void> {
  const clash = push === undefined || tips.has(branch) ? undefined : findClash(branch, tips.keys())
  if (push === undefined || clash === undefined || engine.state.detached) return
  refused.set(branch, `it has a branch ${clash}`)
  await insteadOf(engine, branch, push, tips)
}

type Waiting = { readonly branch: string; readonly commit: string }

/** What to push for a commit of a branch that the working tree is not on; undefined when nothing is left to do or a rescue branch does it. */
async function bringOther(
  engine: Engine,
  one: Waiting,
  tips: ReadonlyMap<string, string>,
): Promise<string | undefined> {
  const { git, zero } = engine
  const drop = () => engine.change({ pending: engine.state.pending.filter((other) => other !== one) })
  const tip = tips.get(one.branch)
  if (await isOnBranch(git, one.commit)) return void (await drop())
  if (!isBranchName(one.branch) || findClash(one.branch, tips.keys()) !== undefined) {
    await rescue(engine, one.commit, tips)
    return void (await drop())
  }
  if (tip === undefined || (await isAncestor(git, tip, one.commit))) return one.commit
  const merged = await mergeCommits(git, tip, one.commit, zero)
  if (merged.conflicts.length === 0)
    return writeCommit(
      git,
      merged.tree,
      [tip, one.commit],
      { subject: `Merge the workspace into ${one.branch}` },
      engine.now(),
    )
  const name = await rescue(engine, one.commit, tips)
  engine.told.details.add(`The workspace's ${one.branch} could not be merged and is on ${name}`)
  return void (await drop())
}

/** Whether something is left to push. */
async function takeOutcomes(
  engine: Engine,
  pushes: ReadonlyMap<string, string>,
  outcomes: ReadonlyMap<string, PushOutcome>,
  refused: Map<string, string>,
  tips: ReadonlyMap<string, string>,
): Promise<boolean> {
  let again = false
  const refs: string[] = []
  for (const [branch, commit] of pushes) {
    const { outcome, reason } = outcomes.get(branch) ?? { outcome: 'moved', reason: '' }
    if (outcome === 'moved') again = true
    else if (outcome === 'pushed') {
      refs.push(`update refs/remotes/origin/${branch} ${commit}\n`)
      if (isRescue(branch) && !tips.has(branch)) engine.told.rescued.add(branch)
      await settle(engine, branch, commit)
    } else {
      refused.set(branch, reason)
      if (!isRescue(branch)) again = (await insteadOf(engine, branch, commit, tips)) || again
    }
  }
  if (refs.length > 0) await engine.git.run(['update-ref', '--stdin'], { input: refs.join('') })
  // Commits that waited because their branch was being pushed.
  return again || engine.state.pending.some((one) => pushes.get(one.branch) !== undefined && !refused.has(one.branch))
}

async function settle(engine: Engine, branch: string, commit: string): Promise<void> {
  const { state } = engine
  const refusedOnes = Object.entries(state.refused).filter(([name]) => name !== branch)
  await engine.change({
    rescue: state.rescue.filter((one) => one.branch !== branch || one.commit !== commit),
    pending: state.pending.filter((one) => one.branch !== branch || one.commit !== commit),
    refused: Object.fromEntries(refusedOnes),
  })
}

/** A protected branch, for instance: until it takes pushes, the work goes to one rescue branch. Whether there is something to push for it. */
async function insteadOf(
  engine: Engine,
  branch: string,
  commit: string,
  tips: ReadonlyMap<string, string>,
): Promise<boolean> {
  const { state, git } = engine
  const before = ofBranch(state.refused, branch)
  const there = before === undefined ? undefined : tips.get(before)
  const goesOn = there !== undefined && (await isAncestor(git, there, commit))
  const name = before !== undefined && goesOn ? before : rescueName(engine.now(), commit)
  if (there === commit) return false
  await engine.change({
    refused: { ...state.refused, [branch]: name },
    rescue: [...state.rescue.filter((one) => one.branch !== name), { branch: name, commit }],
  })
  return true
}
