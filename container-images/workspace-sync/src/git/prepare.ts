/** Getting to a workspace: the first time from the remote, later from what is there. */
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { isErrno } from '../safe-files/safe-file-error.ts'
import { adopt, baseFromAgents } from './adopt.ts'
import { createEngine, type Engine } from './engine.ts'
import { makeRepository, type Preparing } from './make-repository.ts'
import { emptyCommit, hasObject } from './objects.ts'
import { configure, isSha256, isWhole, removeLeftBehind, setAside } from './own-repository.ts'
import { recover } from './recover.ts'
import { loadState, newState, type State, saveState } from './state.ts'
import { inWorkingTree } from './working-tree.ts'
import { makeWorkspace } from './workspace.ts'

/**
 * Rejects with a `SyncProblem` when there is nothing to go on with. `doubt`: git has complained about sync's own repository, so all of its
 * history is looked at.
 */
export async function prepareEngine(preparing: Preparing, doubt = false): Promise<Engine> {
  const { layout, options } = preparing
  await mkdir(layout.shared, { recursive: true })
  await removeLeftBehind(layout)
  await mkdir(layout.scratch, { recursive: true })
  await mkdir(layout.replaced, { recursive: true })
  const state = await usableState(preparing)
  const engine = state ? await goOn(preparing, state, doubt) : await begin(preparing)
  await engine.git.run(['update-ref', 'refs/sync/line', engine.state.line])
  const exists = await inWorkingTree(layout, async () => true)
  if (!exists) await makeWorkspace(engine)
  options.log('INFO', 'The workspace is ready', { branch: engine.state.branch, commit: engine.state.line })
  return engine
}

/** The state that is to be gone on from; undefined to begin anew. */
async function usableState({ layout, options }: Preparing): Promise<State | undefined> {
  const url = options.repository?.url ?? null
  const state = await loadState(layout.state)
  if (state?.url === url) return state
  // The team's first repository, or none any more: what is here goes on. Two different ones have nothing to do with each other.
  if (state && (state.url === null || url === null))
    return { ...state, url, seen: {}, fetched: {}, refused: {}, renamed: {} }
  if (!existsSync(layout.repository)) return undefined
  const folder = path.dirname(await setAside(layout, layout.repository, options.clock.now()))
  await rm(layout.index, { force: true })
  if (!state) {
    options.log('ERROR', "Sync's notes could not be read; its repository was set aside")
    return undefined
  }
  options.log('WARN', 'The team has another repository; the workspace of the one before was set aside')
  await rename(layout.state, path.join(folder, 'state.json'))
  try {
    await rename(layout.workspace, path.join(folder, 'workspace'))
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error
  }
  return undefined
}

async function goOn(preparing: Preparing, state: State, doubt: boolean): Promise<Engine> {
  const { git, layout, options } = preparing
  if (!existsSync(layout.repository)) return recover(preparing, state, undefined)
  try {
    const sha256 = await isSha256(git)
    await configure(git, sha256)
    if ((await hasObject(git, state.line)) && (!doubt || (await isWhole(git, state.line)))) {
      await saveState(layout.state, state)
      return createEngine({ git, layout, options, sha256 }, state)
    }
  } catch (error) {
    if (git.ended) throw error
    options.log('ERROR', "Sync's own repository cannot be read", { reason: (error as Error).message })
  }
  return recover(preparing, state, await setAside(layout, layout.repository, options.clock.now()))
}

/** From the remote, or from nothing. A working tree that is there already is taken in. */
async function begin(preparing: Preparing): Promise<Engine> {
  const { git, layout, options } = preparing
  const { branch, sha256 } = await makeRepository(preparing)
  const tip = await git.run(['rev-parse', '--verify', '--quiet', `refs/remotes/origin/${branch}`], { codes: [0, 1] })
  const line = tip.stdout.toString().trim() || (await emptyCommit(git, 'Begin the workspace', options.clock.now()))
  const state = newState(options.repository?.url ?? null, branch, line)
  const engine = createEngine({ git, layout, options, sha256 }, state)
  await engine.change(tip.code === 0 ? { seen: { [branch]: line } } : {})
  await inWorkingTree(layout, async (tree) => {
    const base = await baseFromAgents(engine, tree)
    if (base) await engine.change(base)
    else await adopt(engine, tree)
  })
  return engine
}
