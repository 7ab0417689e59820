import { open, readFile, rename } from 'node:fs/promises'
import * as z from 'zod'
import { isErrno } from '../safe-files/safe-file-error.ts'

const oid = z.string().regex(/^[0-9a-f]{40,64}$/)
/** A branch of the remote that a commit is to reach. */
const waiting = z.object({ branch: z.string(), commit: oid })

const StateSchema = z.object({
  version: z.literal(1),
  /** Null: no repository. */
  url: z.string().nullable(),
  /** The remote's default branch when it was last asked. */
  defaultBranch: z.string(),
  /** The branch that the working tree is on; the last one while `detached`. */
  branch: z.string(),
  /** The commit that the working tree was last in agreement with. Never reverts anything that was applied to it. */
  line: oid,
  /** The working tree is on no branch that may be pushed to: what is in it goes to this rescue branch. `at`: the HEAD of agents. */
  detached: z.object({ rescue: z.string().optional(), at: oid }).optional(),
  /** Whether `index` was made for `line`'s branch; if not, it is made anew. */
  indexReady: z.boolean(),
  /** Tells whether an agent's git has written HEAD since. */
  headSeen: z.string().optional(),
  /** The last entry of the log of the agents' HEAD that was looked at. */
  headLogSeen: z.string().optional(),
  /** Branches under other names at the remote, after its default branch was renamed. */
  renamed: z.record(z.string(), z.string()),
  /** The remote's tips that `line` has taken into account, by branch: a tip that does not descend from it was forced. */
  seen: z.record(z.string(), oid),
  /** The remote's tips that were fetched last, of the branches whose history is kept when it is rewritten. */
  fetched: z.record(z.string(), oid),
  /** Tips of agents' branches that need nothing more. */
  handled: z.record(z.string(), oid),
  /** Commits that are to be merged into branches the working tree is not on. */
  pending: z.array(waiting),
  /** Rescue branches that are to be pushed as they are. */
  rescue: z.array(waiting),
  /** Rescue branches that stand for branches whose pushes the remote refuses, by branch. */
  refused: z.record(z.string(), z.string()),
  /** When the workspace was last committed. */
  committedAt: z.iso.datetime().optional(),
})
export type State = z.infer<typeof StateSchema>

/** What a record of the state says of a branch: one may be called `constructor`. */
export const ofBranch = (record: Readonly<Record<string, string>>, branch: string): string | undefined =>
  Object.hasOwn(record, branch) ? record[branch] : undefined

export function newState(url: string | null, branch: string, line: string): State {
  return {
    version: 1,
    url,
    defaultBranch: branch,
    branch,
    line,
    indexReady: false,
    renamed: {},
    seen: {},
    fetched: {},
    handled: {},
    pending: [],
    rescue: [],
    refused: {},
  }
}

/** Undefined when there is none, or none that can be used. */
export async function loadState(file: string): Promise<State | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined
    throw error
  }
  try {
    return StateSchema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** At once: after a kill there is the old or the new state. */
export async function saveState(file: string, state: State): Promise<void> {
  await writeDurably(file, JSON.stringify(state))
}

/** Replaces a file of sync's own. */
export async function writeDurably(file: string, content: string): Promise<void> {
  const handle = await open(`${file}.new`, 'w', 0o600)
  try {
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(`${file}.new`, file)
}
