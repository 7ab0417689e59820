/** The first half of a round: what is in the working tree becomes a commit of sync's own repository, on top of the line. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { SafeDirectory } from '../safe-files/safe-directory.ts'
import { type AgentsHead, readAgentsHead } from './agents-head.ts'
import { type Imported, importAgents, tooLargeIn } from './agents-import.ts'
import { keepLeftBehind } from './agents-left-behind.ts'
import type { Engine } from './engine.ts'
import { AUTHORS_MS, LOCK_PATIENCE_MS, MAX_SNAPSHOT_ATTEMPTS } from './limits.ts'
import { type BytePath, diffTrees, type Entry, isAncestor, shownPath, treeOf, writeCommit } from './objects.ts'
import { deletedBetween, gitlinksOf, rebuildIndex, type Snapshot, takeSnapshot } from './snapshot.ts'
import { ofBranch } from './state.ts'
import { chooseTarget, moveTo, type Target } from './target.ts'
import type { Author } from './types.ts'

export type Committed = {
  /** The tree of what was found, also when nothing had to be committed for it. */
  readonly tree: string
  /** Of the agents' HEAD meanwhile. */
  readonly signature: string
  readonly imported: Imported
  readonly target: Target
}

/**
 * Undefined when an agent's git is at work and the working tree may be half another branch's: the next round sees it settled. `evenSo`:
 * there is no next round.
 */
export async function commitWorkspace(
  engine: Engine,
  tree: SafeDirectory,
  evenSo: boolean,
): Promise<Committed | undefined> {
  for (let attempt = 1; ; attempt++) {
    const last = attempt === MAX_SNAPSHOT_ATTEMPTS
    const head = await settledHead(engine, tree)
    if (!head && !evenSo) return undefined
    const before = head ?? (await readAgentsHead(tree))
    const imported = await importAgents(engine, tree, before)
    if (imported.problem !== undefined) engine.told.details.add(imported.problem)
    await keepLeftBehind(engine, tree)
    const target = await chooseTarget(engine, before, imported)
    const tip = await usableTip(engine, target.tip)
    const snapshot = await snapshotOf(engine, tree, tip)
    const after = await readAgentsHead(tree)
    const calm = after.signature === before.signature && !isAtWork(engine, after)
    if (!calm && !last) continue
    if (!calm && !evenSo) return undefined
    if (target.touched && tip !== undefined) await unlessTakenBack(engine, tip, snapshot)
    await commit(engine, snapshot, tip, before.signature)
    engine.told.skipped = new Map([...snapshot.skipped, ...engine.told.skipped])
    return { tree: snapshot.tree, signature: before.signature, imported, target: { ...target, tip } }
  }
}

export const isAtWork = (engine: Engine, head: AgentsHead) =>
  head.lockedSince !== undefined && engine.now().getTime() - head.lockedSince < LOCK_PATIENCE_MS

/** HEAD when no git command of agents holds the index; most of them take milliseconds. */
async function settledHead(engine: Engine, tree: SafeDirectory): Promise<AgentsHead | undefined> {
  for (let wait = 20; wait < 1000; wait *= 2) {
    const head = await readAgentsHead(tree)
    if (!isAtWork(engine, head)) return head
    // The file system of another machine tells nobody: looking again is all there is.
    await sleep(wait)
  }
  return undefined
}

/** Commits with a file that no host takes stay where they are. */
async function usableTip(engine: Engine, tip: string | undefined): Promise<string | undefined> {
  if (tip === undefined || (await tooLargeIn(engine, tip)) === undefined) return tip
  return undefined
}

async function snapshotOf(engine: Engine, tree: SafeDirectory, tip: string | undefined): Promise<Snapshot> {
  const { git, layout, state, zero } = engine
  if (!state.indexReady) {
    await rebuildIndex(git, layout, state.line)
    await engine.change({ indexReady: true })
  }
  let gitlinks = await gitlinksOf(git, state.line)
  let untracked: readonly BytePath[] = []
  if (tip !== undefined && !(await isContained(engine, tip))) {
    const base = (await git.run(['merge-base', tip, state.line], { codes: [0, 1] })).stdout.toString().trim()
    if (base !== '') {
      untracked = await deletedBetween(git, base, tip)
      gitlinks = withChanges(gitlinks, await gitlinksOf(git, base), await gitlinksOf(git, tip))
    }
  }
  return takeSnapshot({ git, layout, tree, gitlinks, untracked, zero })
}

/** Submodules as the line has them, with what agents' commits have changed. */
function withChanges(
  line: ReadonlyMap<BytePath, Entry>,
  base: ReadonlyMap<BytePath, Entry>,
  tip: ReadonlyMap<BytePath, Entry>,
): Map<BytePath, Entry> {
  const result = new Map(line)
  for (const path of new Set([...base.keys(), ...tip.keys()])) {
    const entry = tip.get(path)
    if (entry?.oid === base.get(path)?.oid) continue
    if (entry) result.set(path, entry)
    else result.delete(path)
  }
  return result
}

/** Whether the line needs nothing of the agents' tip: it has it, or it went elsewhere. */
async function isContained(engine: Engine, tip: string): Promise<boolean> {
  const { known, state, git } = engine
  if (known.containedTip === tip || ofBranch(state.handled, state.branch) === tip) return true
  if (!(await isAncestor(git, tip, state.line))) return false
  known.containedTip = tip
  return true
}

/**
 * An agent checked out its branch again while that was behind the line: then files of the line are not changed by agents, only replaced by
 * older ones, and the agents' commit is what the tree was made from. Without a path that shows it, the line is right.
 */
async function unlessTakenBack(engine: Engine, tip: string, snapshot: Snapshot): Promise<void> {
  const { git, state } = engine
  if (tip === state.line || state.detached || (await isAncestor(git, state.line, tip))) return
  const behind = await diffTrees(git, tip, state.line)
  const differs = new Set((await diffTrees(git, tip, snapshot.tree)).map((change) => change.path))
  if (behind.some((change) => !differs.has(change.path)))
    await moveTo(engine, { branch: state.branch, line: tip, detached: undefined })
}

async function commit(engine: Engine, snapshot: Snapshot, tip: string | undefined, headSeen: string): Promise<void> {
  const { git, state } = engine
  const adds = tip !== undefined && !(await isContained(engine, tip))
  const lineTree = await treeOf(git, state.line)
  const line = await nextLine()
  if (line !== state.line) engine.known.wholly = true
  await engine.change({
    line,
    headSeen,
    indexReady: true,
    ...(tip === undefined || state.detached ? {} : { handled: { ...state.handled, [state.branch]: tip } }),
    ...(line === state.line ? {} : { committedAt: engine.now().toISOString() }),
  })

  async function nextLine(): Promise<string> {
    if (!adds) {
      if (snapshot.tree === lineTree || (await isAllFromRemote(engine, snapshot.tree))) return state.line
      return writeCommit(git, snapshot.tree, [state.line], await describe(engine, snapshot), engine.now())
    }
    // Agents have committed everything themselves.
    if (snapshot.tree === (await treeOf(git, tip)) && (await isAncestor(git, state.line, tip))) return tip
    const text = await describe(engine, snapshot)
    return writeCommit(git, snapshot.tree, [state.line, tip], text, engine.now())
  }
}

/** Whether all that differs from the line came from the remote's branch, by a merge that could be applied in part only. */
async function isAllFromRemote(engine: Engine, tree: string): Promise<boolean> {
  const { git, state } = engine
  if (state.detached || engine.known.wholly) return false
  const tip = `refs/remotes/origin/${ofBranch(state.renamed, state.branch) ?? state.branch}`
  if ((await git.run(['rev-parse', '--verify', '--quiet', tip], { codes: [0, 1] })).code !== 0) return false
  const foreign = new Set((await diffTrees(git, tip, tree)).map((change) => change.path))
  return (await diffTrees(git, state.line, tree)).every((change) => !foreign.has(change.path))
}

async function describe(engine: Engine, snapshot: Snapshot) {
  const { changed } = snapshot
  const more = changed.length - 1
  const first = shownPath(changed[0] ?? '').slice(0, 60)
  const subject =
    changed.length === 0 ? 'Update the workspace' : more > 0 ? `Update ${first} and ${more} more` : `Update ${first}`
  return { subject, authors: await authorsOf(engine) }
}

async function authorsOf(engine: Engine): Promise<readonly Author[]> {
  const { options, state } = engine
  const since = new Date(state.committedAt ?? 0)
  const nobody = new AbortController()
  try {
    const silence = sleep(AUTHORS_MS, [] as readonly Author[], { signal: nobody.signal })
    silence.catch(() => {})
    return (await Promise.race([options.authors(since), silence])).slice(0, 50)
  } catch (error) {
    options.log('WARN', 'Nobody is named as author', { reason: (error as Error).message })
    return []
  } finally {
    nobody.abort()
  }
}
