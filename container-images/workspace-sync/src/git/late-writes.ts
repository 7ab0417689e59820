import { lstat, readFile, readlink } from 'node:fs/promises'
import type { SafeDirectory } from '../safe-files/safe-directory.ts'
import { type Engine, remoteTips, rescue } from './engine.ts'
import { MAX_COMMITTED_BYTES } from './limits.ts'
import { changeTree } from './merge.ts'
import { type BytePath, type Entry, shownPath, treeOf, writeBlobs, writeCommit } from './objects.ts'
import { settleReplaced } from './replaced.ts'

/**
 * What agents wrote to files that had just been replaced goes to a rescue branch; what a cut-off round left nowhere goes back to the
 * working tree.
 */
export async function keepLateWrites(engine: Engine, tree: SafeDirectory, everything: boolean): Promise<void> {
  const { layout, sha256, git, zero, state } = engine
  const { late, forget } = await settleReplaced(layout.replaced, tree, { sha256, now: engine.now(), everything })
  const found: { path: BytePath; mode: string; content: Buffer }[] = []
  for (const { path, file, mode } of late) {
    const stats = await lstat(file)
    if (stats.isSymbolicLink()) found.push({ path, mode, content: await readlink(file, { encoding: 'buffer' }) })
    else if (stats.isFile() && stats.size <= MAX_COMMITTED_BYTES)
      found.push({ path, mode, content: await readFile(file) })
    else engine.told.skipped.set(path, 'written to while it was replaced, and too large to be committed')
  }
  if (found.length > 0) {
    const names = await writeBlobs(git, async (add) => {
      for (const one of found) await add(one.content)
    })
    const entries = found.map(({ path, mode }, i): [BytePath, Entry] => [path, { mode, oid: names[i] ?? '' }])
    const withThem = await changeTree(git, await treeOf(git, state.line), entries, zero)
    const body = [
      'Written by agents while a merge replaced these files:',
      ...found.slice(0, 20).map((one) => `  ${shownPath(one.path)}`),
    ]
    const commit = await writeCommit(git, withThem, [state.line], { subject: 'Keep late writes', body }, engine.now())
    engine.told.details.add(
      `What was written to ${shownPath(found[0]?.path ?? '')} during a merge is on ${await rescue(engine, commit, await remoteTips(engine))}`,
    )
  }
  await forget()
}
