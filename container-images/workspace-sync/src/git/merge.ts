/** Merging without a working tree, by `git merge-tree` (2.38 and later). */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { type BytePath, type Entry, indexInfo, listEntries, splitNul } from './objects.ts'
import type { Git } from './run-git.ts'

export type Merged = {
  readonly tree: string
  /** Paths at which `first` was taken as it is, because the two could not be merged there. */
  readonly conflicts: readonly BytePath[]
}

/** Both sides' changes; where they cannot be merged, what `first` has. Works for unrelated histories, too. */
export async function mergeCommits(git: Git, first: string, second: string, zero: string): Promise<Merged> {
  const { code, stdout } = await git.run(
    ['merge-tree', '--write-tree', '-z', '--allow-unrelated-histories', first, second],
    { codes: [0, 1] },
  )
  const fields = splitNul(stdout)
  const tree = fields[0] ?? ''
  if (code === 0) return { tree, conflicts: [] }
  const conflicts = conflictedPaths(fields)
  const theirs = await listEntries(git, first)
  const updates = conflicts.map((one): [BytePath, Entry | undefined] => [one, theirs.get(one)])
  updates.sort(([, a], [, b]) => Number(a !== undefined) - Number(b !== undefined))
  return { tree: await changeTree(git, tree, updates, zero), conflicts }
}

/**
 * As `mergeCommits`, with a tree as what both began from, whatever their histories say: what `second` changed since `base`, on top of
 * `first`.
 */
export async function mergeTrees(
  git: Git,
  trees: { readonly base: string; readonly first: string; readonly second: string },
  zero: string,
): Promise<Merged> {
  const commit = (tree: string, ...parents: string[]) =>
    git.text(['commit-tree', tree, ...parents.flatMap((parent) => ['-p', parent]), '-m', 'merge'], {
      env: {
        GIT_AUTHOR_NAME: 'merge',
        GIT_AUTHOR_EMAIL: 'merge',
        GIT_AUTHOR_DATE: '@0 +0000',
        GIT_COMMITTER_NAME: 'merge',
        GIT_COMMITTER_EMAIL: 'merge',
        GIT_COMMITTER_DATE: '@0 +0000',
      },
    })
  const base = await commit(trees.base)
  return mergeCommits(git, await commit(trees.first, base), await commit(trees.second, base), zero)
}

/** The tree with some paths changed; a file that is put in takes the place of a directory, and the other way round. */
export async function changeTree(
  git: Git,
  tree: string,
  updates: readonly (readonly [BytePath, Entry | undefined])[],
  zero: string,
): Promise<string> {
  const index = path.join(git.gitDir, 'merge-index')
  await rm(index, { force: true })
  try {
    await git.run(['read-tree', tree], { index })
    await git.run(['update-index', '-z', '--replace', '--index-info'], { index, input: indexInfo(updates, zero) })
    return await git.text(['write-tree'], { index })
  } finally {
    await rm(index, { force: true })
  }
}

/**
 * From merge-tree's answer: the tree, then `<mode> <oid> <stage>\t<path>` until an empty field, then messages as
 * `<n> <n paths> <type> <text>`. The messages name paths that the entries do not: where a file and a directory met, the entry has
 * an invented name.
 */
function conflictedPaths(fields: readonly string[]): BytePath[] {
  const paths = new Set<BytePath>()
  let i = 1
  for (; i < fields.length && fields[i] !== ''; i++) {
    const field = fields[i] ?? ''
    paths.add(field.slice(field.indexOf('\t') + 1))
  }
  i++
  while (i < fields.length) {
    const count = Number(fields[i])
    const named = fields.slice(i + 1, i + 1 + count)
    const type = fields[i + 1 + count] ?? ''
    if (type.startsWith('CONFLICT')) for (const one of named) paths.add(one)
    i += count + 3
  }
  return [...paths]
}
