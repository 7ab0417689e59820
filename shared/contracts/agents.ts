/** Shapes of the agents API: what the existing frontend sends and reads (its contract §3.1, §5.1, §5.3) and the integration guide's additions. */
import * as z from 'zod'
import { MAX_INPUT_CHARS, MAX_TASK_CHARS } from './limits.ts'
import { AgentSignalSchema } from './link.ts'

/** `code-writer` and `general` are the integration guide's names; both run `claude`. */
export const AgentTypeSchema = z.enum(['claude', 'mock', 'code-writer', 'general'])

/** What the frontend shows: anything but these five is sorted last, and an empty status crashes it. */
export const AgentViewStatusSchema = z.enum(['starting', 'running', 'completed', 'failed', 'killed'])
export type AgentViewStatus = z.infer<typeof AgentViewStatusSchema>

export const ContainerViewStatusSchema = z.enum(['creating', 'starting', 'running', 'stopped', 'error'])
export type ContainerViewStatus = z.infer<typeof ContainerViewStatusSchema>

/** `docker`: a container of ours; `ssh`: the existing server runs it. */
export const BackendSchema = z.enum(['docker', 'ssh'])
export type Backend = z.infer<typeof BackendSchema>

export const ContainerViewSchema = z.object({
  containerId: z.string(),
  name: z.string(),
  status: ContainerViewStatusSchema,
  createdAt: z.string(),
  resources: z.object({ memory: z.string(), cpu: z.string() }),
  health: z.enum(['healthy', 'unhealthy', 'unknown']),
  exitCode: z.number().int().optional(),
  reason: z.string().optional(),
})
export type ContainerView = z.infer<typeof ContainerViewSchema>

export const AgentViewSchema = z.object({
  id: z.string(),
  teamId: z.string(),
  userId: z.string(),
  userName: z.string(),
  agentName: z.string(),
  agentType: z.string(),
  type: z.string(),
  task: z.string(),
  status: AgentViewStatusSchema,
  method: BackendSchema,
  repositoryUrl: z.string().nullable(),
  createdAt: z.string(),
  startedAt: z.string(),
  lastActivity: z.string(),
  completedAt: z.string().nullable(),
  exitCode: z.number().int().optional(),
  reason: z.string().optional(),
  isOwner: z.boolean().optional(),
  container: ContainerViewSchema.optional(),
})
export type AgentView = z.infer<typeof AgentViewSchema>

/** `'1GB'`, `'512MB'`, or MiB as a number. */
const MemorySchema = z.union([
  z.string().regex(/^\d+(\.\d+)?\s*(MB|GB)$/i, 'must be like "512MB" or "2GB"'),
  z.number().positive(),
])
/** vCPU, as `'0.5'` or 0.5. */
const CpuSchema = z.union([
  z.string().regex(/^\d+(\.\d+)?$/, 'must be a number of vCPU like "0.5"'),
  z.number().positive(),
])

/** Unknown fields are ignored: the existing modal sends some that mean nothing here. */
export const SpawnAgentBodySchema = z.object({
  task: z.string().max(MAX_TASK_CHARS).default(''),
  agentType: AgentTypeSchema.default('claude'),
  teamId: z.string().min(1).optional(),
  repositoryUrl: z.string().min(1).max(2048).nullish(),
  containerOptions: z
    .object({
      resources: z.object({ memory: MemorySchema.optional(), cpu: CpuSchema.optional() }).optional(),
    })
    .optional(),
})
export type SpawnAgentBody = z.infer<typeof SpawnAgentBodySchema>

/** Field names of the frontend's contract; `success`, `method` and `container` are the guide's. */
export const SpawnAgentAnswerSchema = z.object({
  success: z.literal(true),
  method: BackendSchema,
  message: z.string(),
  agent: AgentViewSchema,
  container: ContainerViewSchema.optional(),
})

export const ListAgentsQuerySchema = z.object({
  status: AgentViewStatusSchema.optional(),
  type: AgentTypeSchema.optional(),
  limit: z.coerce.number().int().min(1).max(100).default(50),
  cursor: z.string().max(500).optional(),
})
export const ListAgentsAnswerSchema = z.object({
  agents: z.array(AgentViewSchema),
  nextCursor: z.string().optional(),
})

export const AgentParamsSchema = z.object({ id: z.string().min(1).max(128) })

export const OutputLineSchema = z.object({ timestamp: z.string(), line: z.string() })
export const OutputQuerySchema = z.object({
  limit: z.coerce.number().int().min(1).max(1000).default(200),
  cursor: z.string().max(500).optional(),
})
/** Lines oldest first from the cursor on; without one, from the oldest that is kept. `truncated`: older output has been dropped. */
export const OutputAnswerSchema = z.object({
  agentId: z.string(),
  output: z.array(OutputLineSchema),
  truncated: z.boolean(),
  nextCursor: z.string().optional(),
})
export const AgentAnswerSchema = z.object({ agent: AgentViewSchema, output: z.array(OutputLineSchema) })
export const StopAnswerSchema = z.object({ message: z.string(), agent: AgentViewSchema })
export const DeleteAnswerSchema = z.object({ message: z.string(), agentId: z.string() })
export const DeleteAllAnswerSchema = z.object({ message: z.string(), deletedCount: z.number().int() })
export const InputBodySchema = z.object({ input: z.string().min(1).max(MAX_INPUT_CHARS) })
export const SignalBodySchema = z.object({ signal: AgentSignalSchema })
export const MessageAnswerSchema = z.object({ message: z.string() })
export const ContainerAnswerSchema = z.object({ container: ContainerViewSchema })
