import type { ProjectType } from '../../../../shared/contracts/preview-link.ts'

/** A tree as detection sees it. Paths are relative to its root, with `/`; the root is the empty path. */
export type ProjectFiles = {
  /** Whether there is a plain file. */
  has(path: string): boolean
  /** Text of a file; undefined when there is none, or when it is larger than a project's own files ever are. */
  read(path: string): string | undefined
  /** Names in a directory, bounded; empty when there is none. */
  list(path: string): readonly string[]
}

/** Commands are for `/bin/sh -c`; `$HOST` and `$PORT` in them are variables of their environment. */
export type InstallPlan = {
  /** Where the commands run, relative to the tree. */
  readonly directory: string
  /** Each is tried when the one before it has failed. */
  readonly attempts: readonly string[]
  /** In their place when something was installed before: what is there is kept as far as it fits. */
  readonly again: readonly string[]
  /** Files whose content decides what is installed, beside the manifests of a workspace's packages. */
  readonly inputs: readonly string[]
  /** What the commands leave behind; missing, nothing counts as installed. */
  readonly product?: string
  /** A package manager that is fetched when first called. */
  readonly tool?: PackageTool
}

/** `package`: what npm runs it from, pinned. */
export type PackageTool = { readonly name: 'pnpm' | 'yarn'; readonly package: string }

export type Project = {
  readonly type: ProjectType
  /** Where it lies, relative to the tree. */
  readonly directory: string
  /** For a person: what told the type. */
  readonly reason: string
  /** Absent: this program serves it by itself, `files` or a page. */
  readonly command?: string
  readonly install?: InstallPlan
  /** Beside what every child gets. */
  readonly env: Readonly<Record<string, string>>
  /** The variable that the port is in, beside `PORT`. */
  readonly portVariable?: string
  /** Its commands need a `python3` with `venv`; they run in an environment of its own. */
  readonly needsPython: boolean
  /** Its command does not notice changed files: it is started anew. */
  readonly restartOnChange: boolean
  /** `static`: the directory that is served, relative to the tree. */
  readonly files?: string
  /** `empty` and `unknown`: what would have been run. */
  readonly lookedFor?: readonly string[]
}

/** The repository asks for something that cannot be; the message is for its authors and names file and field. */
export class ProjectError extends Error {
  override readonly name = 'ProjectError'
}

/** A path below a directory of the tree. */
export const below = (directory: string, path: string): string =>
  directory === '' ? path : path === '' ? directory : `${directory}/${path}`
