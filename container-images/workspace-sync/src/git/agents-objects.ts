import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import { inParent, type SafeDirectory, statPath } from '../safe-files/safe-directory.ts'
import type { Layout } from './layout.ts'
import type { Git } from './run-git.ts'

/** Puts what `wanted` have and `present` have not into the agents' repository, as one pack. `present` must be there with all their history. */
export async function copyObjects(
  { git, layout }: { readonly git: Git; readonly layout: Layout },
  gitDir: SafeDirectory,
  wanted: readonly string[],
  present: readonly string[],
): Promise<void> {
  const known = new Set(present)
  if (wanted.every((commit) => known.has(commit))) return
  const base = path.join(layout.scratch, 'pack')
  await rm(base, { recursive: true, force: true })
  await mkdir(base, { recursive: true })
  await git.run(['pack-objects', '--revs', '--quiet', '--delta-base-offset', path.join(base, 'pack')], {
    input: [...wanted, ...[...known].map((commit) => `^${commit}`), ''].join('\n'),
  })
  const files = await readdir(base)
  // The index last: a pack counts from when it has one.
  for (const ending of ['.pack', '.idx']) {
    const file = files.find((name) => name.endsWith(ending))
    if (file === undefined) continue
    const place = `objects/pack/${file}`
    if (await statPath(gitDir, place)) continue
    await inParent(gitDir, place, (parent, name) => rename(path.join(base, file), parent.at(name)))
  }
}
