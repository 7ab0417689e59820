/** What workspace sync's git engine offers to the program around it. docs/workspaces.md says what happens in which case. */
import type { SyncReport } from '../../../../shared/contracts/link.ts'

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>
export type Log = (level: 'INFO' | 'WARN' | 'ERROR', message: string, fields?: LogFields) => void

/** Somebody who worked in the workspace; becomes a `Co-authored-by` trailer. */
export type Author = { readonly name: string; readonly email: string }

export type RemoteRepository = {
  /** Checked by the caller; without a credential in it. */
  readonly url: string
  /**
   * Variables for the git processes that speak to the remote, asked for before each of them: credential, pinned addresses,
   * `GIT_ALLOW_PROTOCOL`. Nothing of it is ever logged or reported. A rejection counts as a remote that cannot be reached;
   * its message is shown to members.
   */
  readonly gitEnvironment: () => Promise<Readonly<Record<string, string>>>
}

export type WorkspaceSyncOptions = {
  /** The team's root: `TEAM_FILES` lie below it. An absolute path without symbolic links. */
  readonly root: string
  /** Absent: the team has no repository; everything is committed, nothing is pushed. */
  readonly repository?: RemoteRepository | undefined
  /** Who has worked in the workspace since then. Given 5 seconds; a rejection or silence means nobody is named. */
  readonly authors: (since: Date) => Promise<readonly Author[]>
  /** Called at the end of `prepare`, of each `round` and of `finish`, with what is true then; `rescued` are new since the last call. */
  readonly report: (report: SyncReport) => void
  readonly clock: { readonly now: () => Date }
  readonly log: Log
  /** Ends what runs within a second; everything may be left as it is, a later `prepare` goes on from there. */
  readonly signal: AbortSignal
}

/**
 * Serialized: a call waits for the one before it. Each is bounded in time and may be cut off by SIGKILL anywhere. None rejects for what a
 * remote, an agent or a full disk does: that is reported; `prepare` alone rejects when there is no workspace to go on with.
 */
export type WorkspaceSync = {
  /**
   * First: clones (or begins an empty repository) and lets the working tree appear. Later: recovers what a kill left half-done.
   * Rejects with a `SyncProblem` after reporting `failed`; may be called again, `againWithinMs` later at most, which that report says.
   * While it fails again and again the report stays `failed`, so that members see one state and not two in turn. Must have
   * succeeded before `round` and `finish`.
   */
  readonly prepare: (againWithinMs?: number) => Promise<void>
  /** Commits what is in the working tree, fetches, merges, pushes, brings the working tree up to date. */
  readonly round: () => Promise<void>
  /** Cuts off a round that is waiting for the remote, then commits and pushes a last time, giving up at `deadline`. Nothing works afterwards. */
  readonly finish: (deadline: Date) => Promise<void>
  /**
   * These branches, and no others, have trees for previews from the next round on; ask for one soon. Before the first call, trees
   * that are there stay as they are.
   */
  readonly setPreviewBranches: (branches: readonly string[]) => void
  /** The branch that the working tree is on, once it is known. Never a rescue branch. */
  readonly branch: () => string | undefined
}

/** Something that ends a step; `message` is for the team's members and holds no credential. */
export class SyncProblem extends Error {
  override readonly name = 'SyncProblem'
  /** `unpushed`: the remote did not do its part. `failed`: somebody has to act. */
  readonly state: 'unpushed' | 'failed'

  constructor(message: string, state: 'unpushed' | 'failed', options?: ErrorOptions) {
    super(message, options)
    this.state = state
  }
}
