/** Bounds of the git engine. Times are milliseconds. */

/** Bytes of a file that is still committed: half of what GitHub refuses, and what a 512 MB container reads at once. */
export const MAX_COMMITTED_BYTES = 50 * 1024 * 1024

/** Bytes of a git process's output; lists of paths are the longest. */
export const MAX_OUTPUT_BYTES = 64 * 1024 * 1024

/** Bytes kept of what a git process says about what went wrong. */
export const MAX_ERROR_BYTES = 64 * 1024

/** A git process on this machine; hashing a large tree on a network file system is the longest. */
export const LOCAL_MS = 5 * 60_000

/** A fetch or push that moves what a round has made. */
export const REMOTE_MS = 5 * 60_000

/** The first fetch. */
export const CLONE_MS = 15 * 60_000

/** For naming those who worked in the workspace. */
export const AUTHORS_MS = 5_000

/** Fetch, merge and push again when the remote moved meanwhile. */
export const MAX_PUSH_ATTEMPTS = 5

/** Reading the workspace again when an agent's git was at work meanwhile. */
export const MAX_SNAPSHOT_ATTEMPTS = 3

/** Reading agents' commits; a repository that is made to hang (a FIFO) costs a round no more than this. */
export const IMPORT_MS = 60_000

/** After an import that took too long, how long there is none. */
export const IMPORT_PAUSE_MS = 10 * 60_000

/** How old an agent's `index.lock` may be before it counts as left behind by a killed process: then it is not waited for. */
export const LOCK_PATIENCE_MS = 60_000

/** How long agents may leave something staged before it no longer counts as a commit in the making. */
export const STAGED_PATIENCE_MS = 10 * 60_000

/** Seconds to wait for another sync of the same team to end: Fargate's longest grace period and an NFS lease. */
export const SINGLE_SYNC_SECONDS = 210

/** Branches of the agents' repository that are looked at in one round, and of which the rest waits. */
export const MAX_AGENT_BRANCHES = 200

/** Rounds between two looks at whether sync's own repository wants repacking. */
export const ROUNDS_BETWEEN_REPACKS = 50

/** Rounds after which a preview's tree that should be as it was is compared with its branch again: an agent may have written to it. */
export const ROUNDS_BETWEEN_PREVIEW_CHECKS = 20

/** Loose objects and packs from which on it does. git's own numbers are 6700 and 50. */
export const MAX_PACKS = 40
