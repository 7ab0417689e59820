/** Shapes of the preview API: what the existing frontend sends and reads (its contract §3.2, §6), and a little more. */
import * as z from 'zod'
import { OutputLineSchema } from './agents.ts'
import { PreviewBranchSchema } from './preview-link.ts'

/**
 * `ready` where the existing server said `running`: a frontend that reads `running` shows an iframe of its own making, and does
 * not ask for the URL, which is a new one for each visitor.
 */
export const PreviewViewStatusSchema = z.enum(['stopped', 'starting', 'ready', 'error', 'no_repository'])
export type PreviewViewStatus = z.infer<typeof PreviewViewStatusSchema>

/** Never `docker`: the frontend would look for `http://<its own host>:<port>/`. */
export const PREVIEW_MODE = 'container'

export const PreviewViewSchema = z.object({
  branch: PreviewBranchSchema,
  status: PreviewViewStatusSchema,
  port: z.number().int().nullable(),
  projectType: z.string().nullable(),
  command: z.string().nullable(),
  message: z.string(),
  isPublic: z.boolean(),
  /** Since when it has this status. */
  since: z.string().nullable(),
  health: z.enum(['healthy', 'unhealthy', 'unknown']),
})
export type PreviewView = z.infer<typeof PreviewViewSchema>

export const PreviewStatusAnswerSchema = z.object({
  mode: z.literal(PREVIEW_MODE),
  workspace: PreviewViewSchema,
  main: PreviewViewSchema,
  staging: PreviewViewSchema,
})

export const CreatePreviewBodySchema = z.object({
  branch: PreviewBranchSchema.default('workspace'),
  /** Anybody who has the address may look, from now on or no longer. Absent: as it is, at first members only. */
  isPublic: z.boolean().optional(),
})
/** May be left out altogether. */
export const PreviewBranchBodySchema = z
  .object({ branch: PreviewBranchSchema.default('workspace') })
  .default({ branch: 'workspace' })
export const PreviewAnswerSchema = z.object({
  message: z.string(),
  mode: z.literal(PREVIEW_MODE),
  status: PreviewViewStatusSchema,
  port: z.number().int().nullable(),
  /** Absolute, without a query: lets its first visitor in, once. */
  url: z.string(),
})
export const StopPreviewAnswerSchema = z.object({ message: z.string(), status: PreviewViewStatusSchema })
export const PreviewParamsSchema = z.object({ branch: PreviewBranchSchema })
export const PreviewLogsAnswerSchema = z.object({
  branch: PreviewBranchSchema,
  logs: z.array(OutputLineSchema),
  truncated: z.boolean(),
  nextCursor: z.string().optional(),
})
export const PreviewProxyParamsSchema = z.object({
  team: z.string().min(1).max(64),
  branch: PreviewBranchSchema,
})
