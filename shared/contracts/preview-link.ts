/**
 * What a preview's container and the control plane say to each other over the link, beside what every container says. Imports
 * nothing: `link.ts` is below most contracts.
 */
import * as z from 'zod'

/** Branches that can be previewed; `workspace` is the tree that agents share. */
export const PreviewBranchSchema = z.enum(['workspace', 'main', 'staging'])
export type PreviewBranch = z.infer<typeof PreviewBranchSchema>

/** Branches that workspace sync keeps a working tree of because they have previews; the agents' own is always there. */
export const PreviewTreesSchema = z.array(PreviewBranchSchema.exclude(['workspace'])).max(2)

/** Last lines of a preview's log that are kept for the page of a failure, and the longest of them, in UTF-16 units. */
export const PREVIEW_LAST_LINES = 40
export const PREVIEW_LINE_CHARS = 500

/** Variables of a preview's container. */
export const PREVIEW_ENV = {
  /** The team's shared files, read-only: what stands below `TEAM_FILES.shared`. */
  shared: 'COVIBES_SHARED',
  /** The task's own disk: the mirror of the working tree, and what was installed for it. */
  disk: 'COVIBES_PREVIEW_DISK',
  /** Package managers' caches; may outlive the task. */
  cache: 'COVIBES_PREVIEW_CACHE',
} as const

/**
 * How a project runs. `custom`: the repository's own command, of no type known here. `empty` and `unknown`: nothing to run was found;
 * a page says what was looked for.
 */
export const ProjectTypeSchema = z.enum([
  'next',
  'vite',
  'vue-cli',
  'create-react-app',
  'node',
  'django',
  'flask',
  'fastapi',
  'static',
  'custom',
  'empty',
  'unknown',
])
export type ProjectType = z.infer<typeof ProjectTypeSchema>

/** Longest texts of a report, in UTF-16 units. */
export const PREVIEW_REPORT_MAX = { command: 500, reason: 1_000 } as const

/**
 * How far a preview is. `mirroring`: the working tree is waited for or copied. `ready`: the port answers. `failed`: nothing runs and
 * nothing is tried until a file changes.
 */
export const PreviewReportSchema = z.object({
  phase: z.enum(['mirroring', 'installing', 'starting', 'ready', 'failed']),
  projectType: ProjectTypeSchema.optional(),
  /** As a shell would take it; absent when no process of the project's own serves it. */
  command: z.string().max(PREVIEW_REPORT_MAX.command).optional(),
  /** For the team's members: why this type, and why it is not up when it is not. */
  reason: z.string().max(PREVIEW_REPORT_MAX.reason).optional(),
  /** Newest last; of a failure, or of what was tried last. */
  lastLines: z.array(z.string().max(PREVIEW_LINE_CHARS)).max(PREVIEW_LAST_LINES).optional(),
})
export type PreviewReport = z.infer<typeof PreviewReportSchema>

/** Control plane to a preview, in answer to its `hello`. `port`: the record's lease, to be listened on. */
export const WelcomePreviewSchema = z.object({
  type: z.literal('welcome-preview'),
  branch: PreviewBranchSchema,
  port: z.number().int().min(1).max(65_535),
  /** Bytes of output that the log already holds for this generation: send from here. */
  acknowledged: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
})
export type WelcomePreview = z.infer<typeof WelcomePreviewSchema>
