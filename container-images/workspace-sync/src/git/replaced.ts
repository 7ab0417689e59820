/**
 * What applying a merge has moved out of the working tree. It is kept a little while, because somebody may have the file open and still
 * write to it, and because a kill may come between moving the old file away and putting the new one in its place.
 */
import { linkSync } from 'node:fs'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import * as z from 'zod'
import { inParent, type SafeDirectory } from '../safe-files/safe-directory.ts'
import { isErrno, SafeFileError } from '../safe-files/safe-file-error.ts'
import { hashAt } from './hash.ts'
import { type BytePath, type Change, toBytes } from './objects.ts'
import { writeDurably } from './state.ts'

const JOURNAL = 'journal.json'

/** Milliseconds after which nobody is expected to write to a file that was replaced. */
const KEPT_MS = 20_000

const JournalSchema = z.object({
  finished: z.boolean(),
  /** By number: names of blobs, before and after; empty for none. */
  paths: z.array(z.object({ path: z.string(), from: z.string(), to: z.string() })),
})

export async function startJournal(folder: string, changes: readonly Change[]): Promise<void> {
  await mkdir(folder, { recursive: true })
  await writeJournal(folder, changes, false)
}

/** From now on a path that is missing in the working tree was removed by agents. */
export const finishJournal = (folder: string, changes: readonly Change[]): Promise<void> =>
  writeJournal(folder, changes, true)

function writeJournal(folder: string, changes: readonly Change[], finished: boolean): Promise<void> {
  const paths = changes.map(({ path: one, from, to }) => ({ path: one, from: from?.oid ?? '', to: to?.oid ?? '' }))
  return writeDurably(
    path.join(folder, JOURNAL),
    JSON.stringify({ finished, paths } satisfies z.infer<typeof JournalSchema>),
  )
}

async function readJournal(folder: string): Promise<z.infer<typeof JournalSchema> | undefined> {
  try {
    return JournalSchema.parse(JSON.parse(await readFile(path.join(folder, JOURNAL), 'utf8')))
  } catch (error) {
    // Cut off before it was written: then nothing had been moved.
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
}

export type LateWrite = { readonly path: BytePath; readonly file: string; readonly mode: string }
export type Settled = {
  /** Files that were written to after they had been replaced. */
  readonly late: readonly LateWrite[]
  /** To be called when `late` is safe. */
  readonly forget: () => Promise<void>
}

/**
 * Puts back what a cut-off apply left nowhere, and finds what was written to too late. `everything`: also what was replaced a moment ago.
 */
export async function settleReplaced(
  base: string,
  tree: SafeDirectory,
  options: { readonly sha256: boolean; readonly now: Date; readonly everything: boolean },
): Promise<Settled> {
  const late: LateWrite[] = []
  const settled: string[] = []
  for (const name of await readdir(base).catch(() => [])) {
    const folder = path.join(base, name)
    const journal = await readJournal(folder)
    const age = options.now.getTime() - Number(name.split('-', 1)[0])
    if (journal?.finished && age >= 0 && age < KEPT_MS && !options.everything) continue
    settled.push(folder)
    for (const file of journal ? await readdir(folder) : []) {
      const number = /^(\d+)(\.ours)?$/.exec(file)
      const entry = number ? journal?.paths[Number(number[1])] : undefined
      if (!number || !entry) continue
      const place = path.join(folder, file)
      if (!journal?.finished && number[2] === undefined && (await putBack(tree, entry.path, place))) continue
      const { entry: found } = await hashAt(place, options.sha256)
      if (found.oid !== (number[2] === undefined ? entry.from : entry.to))
        late.push({ path: entry.path, file: place, mode: found.mode })
    }
  }
  return {
    late,
    forget: async () => {
      for (const folder of settled) await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Whether the file stands in the working tree again, because nothing else did. */
async function putBack(tree: SafeDirectory, one: BytePath, file: string): Promise<boolean> {
  try {
    await inParent(tree, toBytes(one), async (parent, name) => linkSync(file, parent.at(name)), true)
    return true
  } catch (error) {
    if (error instanceof SafeFileError || isErrno(error, 'EEXIST', 'ENOTDIR', 'ELOOP')) return false
    throw error
  }
}
