/**
 * Commits that an agent made on no branch and then checked out something else: git calls them "left behind", and nothing names them any more
 * but the log of HEAD. What an agent takes back by itself (amend, reset, a deleted branch) is not among them.
 */
import { readTail } from '../safe-files/read.ts'
import type { SafeDirectory } from '../safe-files/safe-directory.ts'
import { inAgentsRepository } from './agents-head.ts'
import { AGENT_REFS, tooLargeIn } from './agents-import.ts'
import { type Engine, remoteTips, rescue } from './engine.ts'
import { fetchFromAgents } from './fetch.ts'
import { hasObject } from './objects.ts'
import { GitError } from './run-git.ts'

/** Bytes of the log that are looked at; an entry has about 150. */
const MAX_LOG_BYTES = 64 * 1024

const LEFT = /^([0-9a-f]{40,64}) [0-9a-f]{40,64} .*\tcheckout: moving from \1 /

/** Brings them to rescue branches. */
export async function keepLeftBehind(engine: Engine, tree: SafeDirectory): Promise<void> {
  await inAgentsRepository(tree, async (gitDir) => {
    const log = (await readTail(gitDir, 'logs/HEAD', MAX_LOG_BYTES))?.toString('utf8') ?? ''
    const entries = log.split('\n').filter((line) => line !== '')
    const last = entries.at(-1)?.slice(0, 500)
    if (last === undefined || last === engine.state.headLogSeen) return
    const from = entries.findLastIndex((line) => line.slice(0, 500) === engine.state.headLogSeen)
    const left = new Set(entries.slice(from + 1).flatMap((line) => LEFT.exec(line)?.[1] ?? []))
    for (const commit of left) await keep(engine, gitDir, commit)
    await engine.change({ headLogSeen: last })
  })
}

async function keep(engine: Engine, gitDir: SafeDirectory, commit: string): Promise<void> {
  const { git, state } = engine
  if (!(await hasObject(git, commit))) {
    try {
      await fetchFromAgents(git, gitDir, [commit])
    } catch (error) {
      // The log may name what was never there.
      if (!(error instanceof GitError) || git.ended) throw error
      return
    }
  }
  const known = ['--remotes=origin', `--glob=${AGENT_REFS}*`, state.line, ...state.rescue.map((one) => one.commit)]
  if ((await git.text(['rev-list', '--max-count=1', commit, '--not', ...known])) === '') return
  if ((await tooLargeIn(engine, commit)) !== undefined) return
  const name = await rescue(engine, commit, await remoteTips(engine))
  engine.told.details.add(`A commit that an agent left on no branch is on ${name}`)
}
