/**
 * Exit codes of the agent's container, after BSD's sysexits(3) so that they do not collide with what programs use.
 * Every other code is the program's own, or 128 + n when signal n ended it.
 */
export const EXIT = {
  /** The repository could not be cloned, or the workspace not be prepared (EX_UNAVAILABLE). */
  workspace: 69,
  /** A fault of this program itself (EX_SOFTWARE). */
  internal: 70,
  /** The control plane refused the container or dismissed it (EX_NOPERM): its ticket is void, a repetition is useless. */
  refused: 77,
  /** The container's variables or the team's settings are wrong or incomplete (EX_CONFIG). */
  configuration: 78,
  /** Stopped from outside by SIGTERM: 128 + 15. */
  stopped: 143,
} as const
