/** Shapes of the team environments API: the integration guide's `createTeamEnvironment`, and what operators and members read. */
import * as z from 'zod'
import { ContainerViewStatusSchema } from './agents.ts'
import { SyncReportSchema } from './link.ts'

/** The guide's names of a team's containers, by the type of their records. */
export const CONTAINER_KINDS = { agent: 'claude-agent', preview: 'preview', sync: 'workspace-sync' } as const
export const ContainerKindSchema = z.enum(CONTAINER_KINDS)

export const TeamParamsSchema = z.object({
  teamId: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 letters, digits, "_" or "-"'),
})

/** Unknown fields are ignored. Another team's id is 403, another repository than the team's 409. */
export const CreateEnvironmentBodySchema = z.object({
  teamId: z.string().min(1).max(64).optional(),
  repositoryUrl: z.string().min(1).max(2048).nullish(),
})

export const TeamContainerSchema = z.object({
  containerId: z.string(),
  kind: ContainerKindSchema,
  name: z.string(),
  status: ContainerViewStatusSchema,
  ports: z.array(z.number().int()),
  health: z.enum(['healthy', 'unhealthy', 'unknown']),
  createdAt: z.string(),
  /** Since when it has this status. */
  since: z.string(),
  /** Why, in words, when there is something to say. */
  reason: z.string().optional(),
  exitCode: z.number().int().optional(),
})
export type TeamContainer = z.infer<typeof TeamContainerSchema>

export const TeamEnvironmentViewSchema = z.object({
  teamId: z.string(),
  /** `none`: nothing was created yet; `removing`: it is being taken down. */
  status: z.enum(['none', 'active', 'removing']),
  repositoryUrl: z.string().nullable(),
  createdAt: z.string().nullable(),
  /** Newest first. */
  containers: z.array(TeamContainerSchema),
  /** What workspace sync said last, and when. */
  workspace: SyncReportSchema.extend({ at: z.string() }).optional(),
})
export type TeamEnvironmentView = z.infer<typeof TeamEnvironmentViewSchema>

export const CreateEnvironmentAnswerSchema = z.object({
  success: z.literal(true),
  message: z.string(),
  /** The kinds of containers the team has from now on. */
  containers: z.array(ContainerKindSchema),
  environment: TeamEnvironmentViewSchema,
})
export const EnvironmentActionAnswerSchema = z.object({
  success: z.literal(true),
  message: z.string(),
  environment: TeamEnvironmentViewSchema,
})

export const WhyQuerySchema = z.object({
  limit: z.coerce.number().int().min(1).max(500).default(200),
  cursor: z.string().max(500).optional(),
})
/** The ledger's story of each record, oldest first within a record; first the record that something happened to last. */
export const WhyAnswerSchema = z.object({
  teamId: z.string(),
  stories: z.array(
    z.object({
      containerId: z.string(),
      kind: z.string(),
      /** Of a container that is still there. */
      name: z.string().optional(),
      /** The record's own, one of the state machine's, or `deleted`. */
      status: z.string(),
      story: z.array(z.object({ at: z.string(), text: z.string(), correlationId: z.string() })),
    }),
  ),
  nextCursor: z.string().optional(),
})
export const RemoveTeamAnswerSchema = z.object({ message: z.string(), teamId: z.string() })
