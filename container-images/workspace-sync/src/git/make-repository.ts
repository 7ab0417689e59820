import { rename, rm } from 'node:fs/promises'
import type { Layout } from './layout.ts'
import { configure } from './own-repository.ts'
import { askDefaultBranch, fetchRemote } from './remote.ts'
import type { Git } from './run-git.ts'
import type { WorkspaceSyncOptions } from './types.ts'

export type Preparing = { readonly git: Git; readonly layout: Layout; readonly options: WorkspaceSyncOptions }

/** Makes sync's own repository with all that the remote has. It appears under its name when it is complete. Throws `SyncProblem`. */
export async function makeRepository({
  git,
  layout,
  options,
}: Preparing): Promise<{ branch: string; sha256: boolean }> {
  const fresh = git.at(layout.newRepository)
  await rm(layout.newRepository, { recursive: true, force: true })
  const { repository } = options
  // Asked from an empty repository, because every git process is given one.
  await configure(fresh, false)
  const head = repository ? await askDefaultBranch(fresh, repository) : undefined
  if (head?.sha256) {
    await rm(layout.newRepository, { recursive: true, force: true })
    await configure(fresh, true)
  }
  if (repository) await fetchRemote(fresh, repository, true)
  await rename(layout.newRepository, layout.repository)
  return { branch: head?.branch ?? 'main', sha256: head?.sha256 ?? false }
}
