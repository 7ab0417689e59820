/** Opening the agents' working tree, whatever they have made of it. */
import { rename } from 'node:fs/promises'
import { SafeDirectory } from '../safe-files/safe-directory.ts'
import { isErrno } from '../safe-files/safe-file-error.ts'
import type { Layout } from './layout.ts'

/** Calls `use` with the working tree's handle; undefined when there is no directory of that name. */
export async function inWorkingTree<T>(
  layout: Layout,
  use: (tree: SafeDirectory) => Promise<T>,
): Promise<T | undefined> {
  const shared = await SafeDirectory.open(layout.shared)
  let tree: SafeDirectory
  try {
    tree = await shared.child(layout.workspaceName)
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined
    throw error
  } finally {
    await shared.close()
  }
  try {
    return await use(tree)
  } finally {
    await tree.close()
  }
}

/**
 * Lets a finished directory appear as the working tree. What stands there, a link, a file, an empty or a foreign directory, gets another
 * name beside it and stays; answers that name.
 */
export async function showWorkingTree(layout: Layout, finished: string, now: Date): Promise<string | undefined> {
  const shared = await SafeDirectory.open(layout.shared)
  try {
    const place = shared.at(layout.workspaceName)
    let moved: string | undefined
    if (await shared.stat(layout.workspaceName)) {
      moved = `workspace-before-${now.toISOString().replaceAll(/[-:.]/g, '')}`
      await rename(place, shared.at(Buffer.from(moved)))
    }
    await rename(finished, place)
    return moved
  } finally {
    await shared.close()
  }
}
