/** How sync fetches, from wherever: quietly, and nothing but the refs that are named. */
import type { SafeDirectory } from '../safe-files/safe-directory.ts'
import { IMPORT_MS } from './limits.ts'
import type { Git } from './run-git.ts'

/** The beginning of every fetch's arguments. */
export const FETCH = [
  'fetch',
  '--quiet',
  '--no-tags',
  '--no-write-fetch-head',
  '--no-auto-maintenance',
  '--no-recurse-submodules',
  '--no-show-forced-updates',
] as const

/**
 * Fetches from the agents' repository, which is untrusted: every object is checked, and nothing of its configuration counts. Takes `IMPORT_MS`
 * at most. `prune`: what the refspecs name here and is gone there, goes. Throws `GitError`.
 */
export async function fetchFromAgents(
  git: Git,
  gitDir: SafeDirectory,
  refspecs: readonly string[],
  { prune = false } = {},
): Promise<void> {
  await git.run(
    [
      '-c',
      'fetch.fsckObjects=true',
      ...FETCH,
      ...(prune ? ['--prune'] : []),
      '--upload-pack=git upload-pack --strict',
      '--',
      // By its handle: what is renamed or linked meanwhile does not matter.
      `/proc/${process.pid}/fd/${gitDir.fd}`,
      ...refspecs,
    ],
    { env: { GIT_ALLOW_PROTOCOL: 'file' }, timeoutMs: IMPORT_MS },
  )
}
