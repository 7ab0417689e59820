/** Making the working tree and the agents' repository in it, out of their sight; they appear together, complete. */
import { copyFile, mkdir, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { type Engine, remoteTips } from './engine.ts'
import { FETCH } from './fetch.ts'
import { indexInfo, listRefs, toBytes } from './objects.ts'
import { gitlinksOf, removeFromIndex } from './snapshot.ts'
import { ofBranch } from './state.ts'
import { moveTo } from './target.ts'
import { showWorkingTree } from './working-tree.ts'

export async function makeWorkspace(engine: Engine): Promise<void> {
  const { layout, git, options } = engine
  if (engine.state.detached) await backOnBranch(engine)
  const folder = layout.newWorkspace
  const index = path.join(layout.scratch, 'new-index')
  await mkdir(layout.scratch, { recursive: true })
  for (const old of [folder, index]) await rm(old, { recursive: true, force: true })
  await mkdir(folder)
  await git.run(['read-tree', engine.state.line], { index })
  const gitlinks = await gitlinksOf(git, engine.state.line)
  await removeFromIndex(git, index, [...gitlinks.keys()])
  // Writes the files' times into the index; they stay right when the folder gets its name.
  await git.run(['checkout-index', '--all', '--index', '--quiet'], { index, workTree: folder })
  for (const one of gitlinks.keys())
    await mkdir(Buffer.concat([Buffer.from(`${folder}/`), toBytes(one)]), { recursive: true })
  await makeAgentsRepository(engine, path.join(folder, '.git'))
  const agentsIndex = path.join(folder, '.git/index')
  await copyFile(index, agentsIndex)
  if (gitlinks.size > 0)
    await git.run(['update-index', '-z', '--index-info'], {
      index: agentsIndex,
      input: indexInfo(gitlinks, engine.zero),
    })
  await engine.change({ indexReady: false })
  await rename(index, layout.index)
  const moved = await showWorkingTree(layout, folder, engine.now())
  await engine.change({ indexReady: true, headSeen: undefined })
  if (moved !== undefined) {
    options.log('WARN', 'What stood in the place of the workspace was renamed', { name: moved })
    engine.told.details.add(`What stood in the place of the workspace is ${moved} beside it now`)
  }
}

/** The working tree is gone, and with it the reason not to be on a branch. */
async function backOnBranch(engine: Engine): Promise<void> {
  const { branch, line } = engine.state
  const tip = (await remoteTips(engine)).get(ofBranch(engine.state.renamed, branch) ?? branch)
  await moveTo(engine, { branch, line: tip ?? line, detached: undefined })
}

/** What a clone would have made, but for the credential: branches, history, the remote's name. */
async function makeAgentsRepository(engine: Engine, gitDir: string): Promise<void> {
  const { git, state, sha256, options } = engine
  const agents = git.at(gitDir)
  const format = `--object-format=${sha256 ? 'sha256' : 'sha1'}`
  await agents.run(['init', '--quiet', '--template=', format, `--initial-branch=${state.branch}`])
  await git.run(['update-ref', 'refs/sync/line', state.line])
  await agents.run(
    [
      ...FETCH,
      '--update-head-ok',
      '--',
      git.gitDir,
      '+refs/remotes/origin/*:refs/remotes/origin/*',
      `+refs/sync/line:refs/heads/${state.branch}`,
    ],
    { env: { GIT_ALLOW_PROTOCOL: 'file' } },
  )
  await rememberGiven(engine)
  if (!options.repository) return
  const settings = [
    ['remote.origin.url', options.repository.url],
    ['remote.origin.fetch', '+refs/heads/*:refs/remotes/origin/*'],
    [`branch.${state.branch}.remote`, 'origin'],
    [`branch.${state.branch}.merge`, `refs/heads/${state.branch}`],
  ] as const
  for (const [name, value] of settings) await agents.run(['config', '--file', path.join(gitDir, 'config'), name, value])
}

/** `tellRemoteBranches` tells what changes from here. */
async function rememberGiven(engine: Engine): Promise<void> {
  const { git } = engine
  const before = [...(await listRefs(git, 'refs/given/')).keys()].map((branch) => `delete refs/given/${branch}\n`)
  await git.run(['update-ref', '--stdin'], { input: before.join('') })
  const tips = await remoteTips(engine)
  await git.run(['update-ref', '--stdin'], {
    input: [...tips].map(([branch, tip]) => `update refs/given/${branch} ${tip}\n`).join(''),
  })
}
