/** What the steps of a round share. */
import { rescueName } from './branches.ts'
import type { Layout } from './layout.ts'
import { type BytePath, listRefs } from './objects.ts'
import type { Git } from './run-git.ts'
import type { Skipped } from './snapshot.ts'
import { type State, saveState } from './state.ts'
import type { WorkspaceSyncOptions } from './types.ts'

export type Engine = {
  readonly git: Git
  readonly layout: Layout
  readonly options: WorkspaceSyncOptions
  /** Changes by `change` alone. */
  readonly state: Readonly<State>
  /** Object names of the repository have 64 digits. */
  readonly sha256: boolean
  /** The name of no object. */
  readonly zero: string
  /** For the next report. */
  readonly told: { rescued: Set<string>; details: Set<string>; skipped: Skipped }
  /** What is known without asking git again; never wrong, maybe missing. */
  readonly known: {
    /** A tip of the agents' that is in the line. */
    containedTip?: string
    /** Every path of the last merge could be applied, so that nothing in the working tree is the remote's but not the line's. */
    wholly?: boolean
    /** When the agents' repository is read again, after that took too long; and why it could not be. */
    importAfter?: number
    importProblem?: string | undefined
    /** Verdicts on agents' tips: the path of a file that is too large to be pushed. */
    tooLarge: Map<string, BytePath | undefined>
  }
  /** Changes the state on disk first. */
  readonly change: (part: Partial<State>) => Promise<void>
  readonly now: () => Date
}

export function createEngine(parts: Pick<Engine, 'git' | 'layout' | 'options' | 'sha256'>, initial: State): Engine {
  let state: State = initial
  return {
    ...parts,
    zero: '0'.repeat(parts.sha256 ? 64 : 40),
    get state() {
      return state
    },
    told: { rescued: new Set(), details: new Set(), skipped: new Map() },
    known: { tooLarge: new Map() },
    now: parts.options.clock.now,
    change: async (part) => {
      const next = { ...state, ...part }
      await saveState(parts.layout.state, next)
      state = next
    },
  }
}

export const remoteTips = (engine: Engine): Promise<Map<string, string>> => listRefs(engine.git, 'refs/remotes/origin/')

/** A rescue branch for the commit, to be pushed in this round or the next that can; the one that has it already if there is one. */
export async function rescue(engine: Engine, commit: string, tips: ReadonlyMap<string, string>): Promise<string> {
  const waiting = engine.state.rescue.find((one) => one.commit === commit)
  if (waiting) return waiting.branch
  for (const [branch, tip] of tips) if (tip === commit && branch.startsWith('covibes/rescue/')) return branch
  const branch = rescueName(engine.now(), commit)
  await engine.change({ rescue: [...engine.state.rescue, { branch, commit }] })
  return branch
}

/** Whether agents have the commit on a branch, from where it is pushed anyway. */
export async function isWithAgents(engine: Engine, commit: string): Promise<boolean> {
  return (await engine.git.text(['rev-list', '--max-count=1', commit, '--not', '--glob=refs/agents/heads/*'])) === ''
}
