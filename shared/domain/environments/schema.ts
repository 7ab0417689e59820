/**
 * The environment record: one container of a team (the integration guide's `container_environments` row). A union by status,
 * so that code which holds a running record knows that it has a task.
 */
import * as z from 'zod'
import { AgentTypeSchema, BackendSchema } from '../../contracts/agents.ts'

export const StatusSchema = z.enum(['requested', 'starting', 'running', 'stopping', 'completed', 'failed', 'killed'])
export type Status = z.infer<typeof StatusSchema>
export const EnvironmentTypeSchema = z.enum(['agent', 'preview', 'sync'])
export type EnvironmentType = z.infer<typeof EnvironmentTypeSchema>

const instant = z.iso.datetime()
const MemberSchema = z.object({ userId: z.string(), userName: z.string() })

/** Identifies a record; the team is always known (from the token, or from `startedBy`), so there is no lookup table. */
export type EnvironmentRef = { readonly teamId: string; readonly id: string }

export const EnvironmentSchema = z.object({
  teamId: z.string().min(1),
  id: z.string().min(1),
  type: EnvironmentTypeSchema,
  /** `covibes_agent_<team>_<agent>` */
  name: z.string(),
  backend: BackendSchema,
  status: StatusSchema,
  /** Starts of this record, from 1. */
  generation: z.number().int().min(1),
  /** RunTask tries within the generation, from 1. */
  attempt: z.number().int().min(1),
  /** Writes of this record, from 1; the compare-and-set of every write. */
  revision: z.number().int().min(1),
  createdAt: instant,
  updatedAt: instant,
  createdBy: MemberSchema,
  agent: z.object({
    agentType: AgentTypeSchema,
    agentName: z.string(),
    /** Empty: an interactive session. */
    task: z.string(),
  }),
  repositoryUrl: z.string().nullable(),
  size: z.object({ cpu: z.number().int(), memory: z.number().int() }),
  /** The lease this record holds while it is live (invariant 6). */
  slot: z.number().int().min(0).optional(),
  correlationId: z.string(),

  /** The attempt's task, and the highest `detail.version` of it that was applied. */
  task: z.object({ arn: z.string(), version: z.number().int() }).optional(),
  /** SHA-256 (hex) of the single-use ticket, until its first use; milliseconds since the epoch. */
  ticket: z.object({ hash: z.string(), expiresAt: z.number() }).optional(),
  /** SHA-256 (hex) of the key with which the container reconnects. */
  linkKeyHash: z.string().optional(),

  claimedAt: instant.optional(),
  startedAt: instant.optional(),
  endedAt: instant.optional(),
  exitCode: z.number().int().optional(),
  /** Why it ended, or why it is not up yet: for a person (invariant 10). */
  reason: z.string().optional(),
  /** A member asked for the end (stop, delete, or a terminating signal). */
  stopRequest: z.object({ userId: z.string(), at: instant }).optional(),
  /** The end of this generation is to be followed by another one. */
  restart: z.object({ userId: z.string(), at: instant }).optional(),
  /** Hidden from every list; the row goes when the task has stopped. */
  deletedAt: instant.optional(),
  health: z.object({ status: z.enum(['healthy', 'unhealthy', 'unknown']), detail: z.string().optional() }).optional(),
  /** What the container said of its program's end, before ECS said anything. */
  exitReport: z
    .object({ exitCode: z.number().int(), signal: z.string().optional(), reason: z.string().optional() })
    .optional(),
})
export type Environment = z.infer<typeof EnvironmentSchema>
