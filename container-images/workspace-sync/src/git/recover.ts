/** Sync's own repository is broken or gone, its notes are not. */

import { adopt, baseFromAgents } from './adopt.ts'
import { AGENT_REFS } from './agents-import.ts'
import { createEngine, type Engine, remoteTips, rescue } from './engine.ts'
import { FETCH } from './fetch.ts'
import { makeRepository, type Preparing } from './make-repository.ts'
import { emptyCommit, hasObject, isAncestor, isAtRemote } from './objects.ts'
import { GitError } from './run-git.ts'
import { ofBranch, type State } from './state.ts'
import { inWorkingTree } from './working-tree.ts'

/**
 * Clones anew and takes over what the broken repository (`broken`, set aside) and the agents' own still have. What is whole and not at the
 * remote goes to rescue branches; the working tree is never touched for it, except where nothing says what it was made from.
 */
export async function recover(preparing: Preparing, before: State, broken: string | undefined): Promise<Engine> {
  const { git, layout, options } = preparing
  const { branch: defaultBranch, sha256 } = await makeRepository(preparing)
  const found = broken === undefined ? [] : await salvage(preparing, before, broken)
  const state: State = { ...before, defaultBranch, indexReady: false, pending: [], rescue: [], handled: {} }
  const engine = createEngine({ git, layout, options, sha256 }, state)
  engine.told.details.add("Sync's own repository was broken and has been made anew")
  await engine.change({})
  await inWorkingTree(layout, async (tree) => {
    const fromAgents = await baseFromAgents(engine, tree)
    if (await hasObject(git, state.line)) return
    const seen = ofBranch(state.seen, state.branch)
    if (fromAgents?.branch === state.branch) await engine.change(fromAgents)
    // Older than the line, but the line's changes are in the working tree.
    else if (seen !== undefined && (await hasObject(git, seen))) await engine.change({ line: seen })
    else {
      await engine.change({ line: await anyLine(engine, defaultBranch) })
      await adopt(engine, tree)
    }
  })
  if (!(await hasObject(git, engine.state.line))) await engine.change({ line: await anyLine(engine, defaultBranch) })
  const tips = await remoteTips(engine)
  for (const commit of found) {
    if (!(await isAncestor(git, commit, engine.state.line)) && !(await isAtRemote(git, commit)))
      await rescue(engine, commit, tips)
  }
  return engine
}

async function anyLine(engine: Engine, branch: string): Promise<string> {
  const tips = await remoteTips(engine)
  const tip = tips.get(engine.state.branch) ?? tips.get(branch)
  if (tip !== undefined) return tip
  return emptyCommit(engine.git, 'Begin the workspace', engine.now())
}

/** Commits of the broken repository that are whole, fetched one by one, because each may be what is broken. */
async function salvage({ git, options }: Preparing, state: State, broken: string): Promise<string[]> {
  const wanted = new Set([
    state.line,
    ...state.pending.map((one) => one.commit),
    ...state.rescue.map((one) => one.commit),
  ])
  try {
    const refs = await git.at(broken).text(['for-each-ref', '--format=%(objectname)', AGENT_REFS])
    for (const commit of refs.split('\n')) if (commit !== '') wanted.add(commit)
  } catch (error) {
    options.log('WARN', 'The refs of the broken repository cannot be read', { reason: (error as Error).message })
  }
  const found: string[] = []
  for (const commit of wanted) {
    try {
      if (!(await hasObject(git, commit))) {
        await git.run([...FETCH, '--', broken, `${commit}:refs/salvaged/${commit}`], {
          env: { GIT_ALLOW_PROTOCOL: 'file' },
        })
      }
      found.push(commit)
    } catch (error) {
      if (!(error instanceof GitError) || git.ended) throw error
      options.log('WARN', 'A commit could not be recovered', { commit, reason: error.message })
    }
  }
  return found
}
