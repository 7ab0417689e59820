/** Shape of the workspace layout (frontend contract §3.3): stored as it comes, within the existing server's own bounds. */
import * as z from 'zod'

/** Pixels. */
export const SIDEBAR_WIDTH = { min: 100, max: 600 } as const

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * What is in `tiles` and `layouts`, and whatever else the client sends, is the client's alone: duplicates, nulls and unknown
 * keys come back as they came.
 */
export const WorkspaceConfigSchema = z.looseObject({
  tiles: z.array(z.unknown()),
  layouts: z.unknown().refine(isObject, 'must be an object').meta({ type: 'object' }),
  sidebarWidth: z.number().min(SIDEBAR_WIDTH.min).max(SIDEBAR_WIDTH.max),
})
export type WorkspaceConfig = z.infer<typeof WorkspaceConfigSchema>

export const StoredWorkspaceConfigSchema = WorkspaceConfigSchema.extend({ message: z.string() })
