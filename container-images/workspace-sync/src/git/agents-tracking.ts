/**
 * The agents' `refs/remotes/origin/*`, as a fetch of theirs would bring them: they have no credential to fetch with, and without these they
 * could neither see nor check out what others have pushed.
 */
import { unlink } from 'node:fs/promises'
import { readFileIfAny } from '../safe-files/read.ts'
import { inParent, type SafeDirectory, statPath } from '../safe-files/safe-directory.ts'
import { toSafeFileError } from '../safe-files/safe-file-error.ts'
import { writeFileAtomic } from '../safe-files/write.ts'
import { inAgentsRepository } from './agents-head.ts'
import { copyObjects } from './agents-objects.ts'
import type { Engine } from './engine.ts'
import { listRefs } from './objects.ts'
import { SyncProblem } from './types.ts'

/** What agents were last given, in sync's own repository, so that it is there with its objects. */
const GIVEN = 'refs/given/'

/** Branches told in one round; the rest comes in the next ones. */
const MOST = 100

/** `present`: commits that the agents' repository has with all their history. Leaves alone what is unusual. */
export async function tellRemoteBranches(
  engine: Engine,
  tree: SafeDirectory,
  tips: ReadonlyMap<string, string>,
  present: readonly string[],
): Promise<void> {
  const given = await listRefs(engine.git, GIVEN)
  const changed = [...tips].filter(([branch, tip]) => given.get(branch) !== tip).slice(0, MOST)
  const gone = [...given.keys()].filter((branch) => !tips.has(branch)).slice(0, MOST)
  if (changed.length === 0 && gone.length === 0) return
  try {
    await inAgentsRepository(tree, async (gitDir) => {
      if (!(await statPath(gitDir, 'reftable'))) await writeAll(engine, gitDir, { changed, gone, given, present })
    })
  } catch (error) {
    // Something in it is not what it is in a repository of git's making.
    if (error instanceof SyncProblem || toSafeFileError(error).code === 'no-space') throw error
  }
}

type Changes = {
  readonly changed: readonly (readonly [string, string])[]
  readonly gone: readonly string[]
  readonly given: ReadonlyMap<string, string>
  readonly present: readonly string[]
}

async function writeAll(
  engine: Engine,
  gitDir: SafeDirectory,
  { changed, gone, given, present }: Changes,
): Promise<void> {
  const there = [...present]
  for (const [branch] of changed) {
    const before = given.get(branch)
    // Agents may have removed it, and its objects with it.
    if (before !== undefined && (await readTracking(gitDir, branch)) === before) there.push(before)
  }
  const wanted = changed.map(([, tip]) => tip)
  await copyObjects(engine, gitDir, wanted, there)
  for (const branch of gone) await remove(gitDir, branch)
  for (const [branch, tip] of changed)
    await writeFileAtomic(gitDir, `refs/remotes/origin/${branch}`, Buffer.from(`${tip}\n`), {
      staging: engine.layout.scratch,
    })
  await engine.git.run(['update-ref', '--stdin'], {
    input: [
      ...gone.map((branch) => `delete ${GIVEN}${branch}\n`),
      ...changed.map(([branch, tip]) => `update ${GIVEN}${branch} ${tip}\n`),
    ].join(''),
  })
}

const readTracking = async (gitDir: SafeDirectory, branch: string) =>
  (await readFileIfAny(gitDir, `refs/remotes/origin/${branch}`, 100))?.toString('latin1').trim()

async function remove(gitDir: SafeDirectory, branch: string): Promise<void> {
  const ref = `refs/remotes/origin/${branch}`
  if ((await statPath(gitDir, ref))?.isFile()) await inParent(gitDir, ref, (parent, name) => unlink(parent.at(name)))
}
