/**
 * Feature flags: one item for a team and one for all, in a table that operators read and edit by hand. So every field is
 * judged by itself: one that does not parse is as if it were not there, and the others still count.
 */
import * as z from 'zod'
import type { TaskSize } from '../../contracts/limits.ts'

/** Fargate's range: 0.25 to 16 vCPU in CPU units, 0.5 to 120 GB in MiB. */
const TaskSizeSchema = z.object({
  cpu: z.number().int().min(256).max(16_384),
  memory: z.number().int().min(512).max(122_880),
})

/** Schema of each field, so that a field stands or falls alone. */
export const flagFields = {
  /** Agents in containers of ours; false: on the existing server. Decides for new agents only, never for those that run. */
  useDockerAgents: z.boolean(),
  /** Live agents of a team; 0 lets none start. A lease is an item, so the bound is one page of them. */
  agentSlots: z.number().int().min(0).max(100),
  /** The largest container that a member may ask for. */
  maxTaskSize: TaskSizeSchema,
} as const

/** What counts for a team: every field has a value. */
export interface Flags {
  readonly useDockerAgents: boolean
  readonly agentSlots: number
  readonly maxTaskSize: TaskSize
}
export type FlagField = keyof typeof flagFields

/** Partition key of the item for all teams, and of a team's own. */
export const ALL_TEAMS = 'all'
export const teamScope = (teamId: string): string => `team#${teamId}`
