/**
 * Exit codes of our containers, after BSD's sysexits(3) so that they do not collide with what programs use.
 * Every other code of an agent's is its program's own, or 128 + n when signal n ended it.
 */
export const EXIT = {
  /** The team's workspace did not become ready (EX_UNAVAILABLE). */
  workspace: 69,
  /** A fault of this program itself (EX_SOFTWARE). */
  internal: 70,
  /** Files could not be erased (EX_IOERR). */
  files: 74,
  /** Workspace sync's last commit or push was not done in time; nothing is lost, the next one does it (EX_TEMPFAIL). */
  unfinished: 75,
  /** The control plane refused the container or dismissed it (EX_NOPERM): its ticket is void, a repetition is useless. */
  refused: 77,
  /** The container's variables or the team's settings are wrong or incomplete (EX_CONFIG). */
  configuration: 78,
  /** Stopped from outside by SIGTERM: 128 + 15. */
  stopped: 143,
} as const
