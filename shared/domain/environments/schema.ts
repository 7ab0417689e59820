/**
 * The environment record: one container of a team (the integration guide's `container_environments` row). A union by type: what
 * all have in common, and what only an agent, only a preview or only workspace sync has.
 */
import * as z from 'zod'
import { AgentTypeSchema, BackendSchema } from '../../contracts/agents.ts'
import { PREVIEW_PORTS } from '../../contracts/limits.ts'
import { SyncReportSchema } from '../../contracts/link.ts'
import { PreviewBranchSchema, PreviewReportSchema } from '../../contracts/preview-link.ts'
import { PreviewLabelSchema } from '../../contracts/previews.ts'

export const StatusSchema = z.enum(['requested', 'starting', 'running', 'stopping', 'completed', 'failed', 'killed'])
export type Status = z.infer<typeof StatusSchema>

const instant = z.iso.datetime()
export const MemberSchema = z.object({ userId: z.string(), userName: z.string() })

/** Identifies a record; the team is always known (from the token, or from `startedBy`), so there is no lookup table. */
export type EnvironmentRef = { readonly teamId: string; readonly id: string }

const common = {
  teamId: z.string().min(1),
  id: z.string().min(1),
  /** `covibes_agent_<team>_<agent>`, `covibes_preview_<team>_<branch>`, `covibes_sync_<team>` */
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

  /** When this generation was asked for; absent in the first: then it was its creation. */
  requestedAt: instant.optional(),
  claimedAt: instant.optional(),
  startedAt: instant.optional(),
  endedAt: instant.optional(),
  exitCode: z.number().int().optional(),
  /** Why it ended, or why it is not up yet: for a person (invariant 10). */
  reason: z.string().optional(),
  /** Somebody asked for the end: a member (stop, delete, or a terminating signal) or the control plane, which says why. */
  stopRequest: z.object({ userId: z.string().optional(), at: instant, reason: z.string().optional() }).optional(),
  /** The end of this generation is to be followed by another one. */
  restart: z.object({ userId: z.string().optional(), at: instant }).optional(),
  /** Times the control plane has begun a new generation by itself since the last one that held out. */
  restarts: z.number().int().min(0).optional(),
  /** Hidden from every list; the row goes when the task has stopped. */
  deletedAt: instant.optional(),
  health: z.object({ status: z.enum(['healthy', 'unhealthy', 'unknown']), detail: z.string().optional() }).optional(),
  /** What the container said of its program's end, before ECS said anything. */
  exitReport: z
    .object({ exitCode: z.number().int(), signal: z.string().optional(), reason: z.string().optional() })
    .optional(),
} as const

const AgentEnvironmentSchema = z.object({
  ...common,
  type: z.literal('agent'),
  agent: z.object({
    agentType: AgentTypeSchema,
    agentName: z.string(),
    /** Empty: an interactive session. */
    task: z.string(),
  }),
})
export type AgentEnvironment = z.infer<typeof AgentEnvironmentSchema>

const SyncEnvironmentSchema = z.object({
  ...common,
  type: z.literal('sync'),
  sync: z.object({
    /** `erase`: removes every file of the team, then ends with 0. */
    purpose: z.enum(['sync', 'erase']),
    /** What it said last of the team's repository, and since when that is so. */
    report: SyncReportSchema.extend({ at: instant }).optional(),
    /** When the members were told last of each kind of trouble, and whether they were told of its end. */
    told: z.object({ failed: instant.optional(), unpushed: instant.optional(), isTrouble: z.boolean() }).optional(),
  }),
})
export type SyncEnvironment = z.infer<typeof SyncEnvironmentSchema>

const PreviewEnvironmentSchema = z.object({
  ...common,
  type: z.literal('preview'),
  preview: z.object({
    branch: PreviewBranchSchema,
    /** Of its host: drawn when the record is made, and the same for all of its generations. */
    label: PreviewLabelSchema,
    /** Anybody who knows the address may look, not only the team's members. */
    isPublic: z.boolean(),
    /** The lease this record holds while it is live (invariant 6). */
    port: z.number().int().min(PREVIEW_PORTS.min).max(PREVIEW_PORTS.max).optional(),
    /** The task's, in the team's network. */
    address: z.ipv4().optional(),
    /** It is stopped because nobody visited it: the next visit starts it. */
    isIdle: z.literal(true).optional(),
    /** What its container said last of how far it is, and since when that is so. */
    report: PreviewReportSchema.extend({ at: instant }).optional(),
  }),
})
export type PreviewEnvironment = z.infer<typeof PreviewEnvironmentSchema>

export const EnvironmentSchema = z.discriminatedUnion('type', [
  AgentEnvironmentSchema,
  PreviewEnvironmentSchema,
  SyncEnvironmentSchema,
])
export type Environment = z.infer<typeof EnvironmentSchema>
export type EnvironmentType = Environment['type']
export type EnvironmentOf<T extends EnvironmentType> = Extract<Environment, { type: T }>

/** The record as one of its type. @throws for another type's: its id was derived for this one. */
export function expectType<T extends EnvironmentType>(record: Environment, type: T): EnvironmentOf<T> {
  if (record.type !== type) throw new Error(`record ${record.id} is not of type ${type} but ${record.type}`)
  return record as EnvironmentOf<T>
}
