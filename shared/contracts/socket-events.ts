/**
 * The Socket.IO surface (frontend contract §5): every event in both directions with its schema. Bounds are ours.
 * An event that a client sends and that is not here is ignored.
 */
import * as z from 'zod'
import { AgentViewSchema } from './agents.ts'
import { MAX_INPUT_CHARS, MAX_TERMINAL } from './limits.ts'

const agentId = z.string().min(1).max(128)

/** Client to server: the first argument of the event. */
export const clientEvents = {
  /** The existing frontend sends an object, the integration guide a bare team id. */
  'join-team': z.union([
    z.string().min(1).max(128),
    z.object({ teamId: z.string().min(1).max(128), token: z.string().max(8192).optional() }),
  ]),
  terminal_connect: z.object({ agentId }),
  terminal_disconnect: z.object({ agentId }),
  terminal_input: z.object({ agentId, data: z.string().max(MAX_INPUT_CHARS) }),
  terminal_resize: z.object({
    agentId,
    cols: z.number().int().min(1).max(MAX_TERMINAL.cols),
    rows: z.number().int().min(1).max(MAX_TERMINAL.rows),
  }),
} as const
export type ClientEventName = keyof typeof clientEvents
export type ClientEvent<N extends ClientEventName> = z.infer<(typeof clientEvents)[N]>

/** Server to client: the first argument of the event. A last string argument, the resume offset, follows. */
export const serverEvents = {
  'team-joined': z.object({ teamId: z.string(), userId: z.string(), messages: z.array(z.unknown()) }),
  error: z.object({ message: z.string() }),
  'agent-spawned': z.object({ agent: AgentViewSchema }),
  'agent-status': z.object({
    agentId,
    status: AgentViewSchema.shape.status,
    message: z.string().optional(),
    exitCode: z.number().int().optional(),
    timestamp: z.string(),
  }),
  'agent-deleted': z.object({ agentId }),
  'all-agents-deleted': z.object({ teamId: z.string() }),
  terminal_connected: z.object({ agentId, isOwner: z.boolean() }),
  terminal_data: z.object({ agentId, data: z.string() }),
  terminal_error: z.object({ agentId, error: z.string() }),
} as const
export type ServerEventName = keyof typeof serverEvents
export type ServerEventPayload<N extends ServerEventName> = z.infer<(typeof serverEvents)[N]>
/** One event on its way out. */
export type ServerEvent = { [N in ServerEventName]: readonly [N, ServerEventPayload<N>] }[ServerEventName]
