/**
 * The Socket.IO surface (frontend contract §5): every event in both directions with its schema. Bounds are ours.
 * An event that a client sends and that is not here is ignored. Descriptions stand in the socket reference (docs/realtime.md).
 */
import * as z from 'zod'
import { AgentViewSchema } from './agents.ts'
import { MAX_CHAT_CHARS, MAX_CHAT_ENCODED_BYTES, MAX_INPUT_CHARS, MAX_TERMINAL } from './limits.ts'
import { PreviewBranchSchema } from './preview-link.ts'

const agentId = z.string().min(1).max(128)
const teamId = z.string().min(1).max(128)

const previewBranch = z.object({ branch: PreviewBranchSchema.default('workspace') }).default({ branch: 'workspace' })

const fitsAnEvent = (text: string): boolean => Buffer.byteLength(JSON.stringify(text)) <= MAX_CHAT_ENCODED_BYTES

/** Client to server: the first argument of the event. */
export const clientEvents = {
  'join-team': z
    .union([z.string().min(1).max(128), z.object({ teamId, token: z.string().max(8192).optional() })])
    .describe('The existing frontend sends an object, the integration guide a bare team id.'),
  'chat-message': z
    .object({ teamId, message: z.string().min(1).max(MAX_CHAT_CHARS).refine(fitsAnEvent, 'too long') })
    .describe('Goes to every member of the team, the sender too.'),
  container_action: z
    .object({ containerId: z.string().min(1).max(128), action: z.enum(['start', 'stop', 'restart']) })
    .describe('The buttons of the container list. Not acknowledged.'),
  terminal_connect: z
    .object({ agentId })
    .describe('Watches a terminal, whatever the agent’s state, from the oldest output kept; of 33 the oldest ends.'),
  terminal_disconnect: z.object({ agentId }).describe('Ends watching.'),
  terminal_input: z
    .object({ agentId, data: z.string().max(MAX_INPUT_CHARS) })
    .describe('Raw key bytes; from the owner only.'),
  terminal_resize: z
    .object({
      agentId,
      cols: z.number().int().min(1).max(MAX_TERMINAL.cols),
      rows: z.number().int().min(1).max(MAX_TERMINAL.rows),
    })
    .describe('From the owner only.'),
  agent_output_subscribe: z
    .object({ agentId })
    .describe(
      'Asks for `agent-output`, from the oldest output kept; a repetition begins there again, of 33 the oldest ends.',
    ),
  agent_output_unsubscribe: z.object({ agentId }).describe('Ends it.'),
  'preview-refresh': z
    .object({ branch: z.string().max(255).optional(), repositoryUrl: z.string().max(2048).nullish() })
    .describe('Asks workspace sync to look at the repository now. Answered by `preview-updated` or `preview-error`.'),
  'preview-status': previewBranch.describe(
    'Answered by `preview-status-update`, with an address for this member alone when the preview is up.',
  ),
  'preview-stop': previewBranch.describe('Stops a preview. Answered by `preview-status-update` or `preview-error`.'),
} as const
export type ClientEventName = keyof typeof clientEvents
export type ClientEvent<N extends ClientEventName> = z.infer<(typeof clientEvents)[N]>

/**
 * A chat message in both shapes that the frontend reads (§5.5): the desktop tile `user.userName`, `content`, `createdAt`, the
 * mobile tab `userName`, `message`, `timestamp`. One without `user.userName` would crash it.
 */
export const ChatMessageSchema = z.object({
  id: z.string().min(1),
  userId: z.string(),
  teamId: z.string(),
  user: z.object({ userName: z.string() }),
  userName: z.string(),
  content: z.string(),
  message: z.string(),
  createdAt: z.iso.datetime(),
  timestamp: z.iso.datetime(),
})
export type ChatMessage = z.infer<typeof ChatMessageSchema>

/** Server to client: the first argument of the event. A last string argument, the resume offset, follows. */
export const serverEvents = {
  'team-joined': z
    .object({ teamId: z.string(), userId: z.string(), messages: z.array(ChatMessageSchema) })
    .describe('Answers `join-team`; `messages` are the newest 50 of the chat, oldest first.'),
  error: z.object({ message: z.string() }).describe('What was asked for was refused, and why.'),
  'chat-message': ChatMessageSchema.describe('Somebody of the team has said something.'),
  'agent-spawned': z.object({ agent: AgentViewSchema }).describe('Comes before anything else about the agent.'),
  'agent-status': z
    .object({
      agentId,
      status: AgentViewSchema.shape.status,
      message: z.string().optional(),
      exitCode: z.number().int().optional(),
      timestamp: z.string(),
    })
    .describe('An agent’s state has changed; `message` is the reason of a failure.'),
  'agent-deleted': z.object({ agentId }).describe('An agent is in no list any more.'),
  'all-agents-deleted': z.object({ teamId: z.string() }).describe('The team’s list is empty.'),
  'agent-output': z
    .object({ agentId, lines: z.array(z.object({ timestamp: z.iso.datetime(), line: z.string() })) })
    .describe('Finished lines, escape sequences taken out, in order; only to who has asked for it.'),
  terminal_connected: z.object({ agentId, isOwner: z.boolean() }).describe('Answers `terminal_connect`.'),
  terminal_data: z.object({ agentId, data: z.string() }).describe('Output as it is, never cut inside a character.'),
  'preview-updated': z
    .object({ branch: z.string(), timestamp: z.iso.datetime() })
    .describe('Answers `preview-refresh`: sync has been asked, what it finds appears in the preview by itself.'),
  'preview-status-update': z
    .object({
      branch: PreviewBranchSchema,
      status: z.enum(['starting', 'running', 'idle', 'stopped', 'error']),
      /** Lets one visitor in, once. */
      url: z.string().optional(),
      message: z.string().optional(),
    })
    .describe(
      'The preview of `workspace` has changed, or the answer to a question. `running`: its server answers; `idle`: stopped until the next visit.',
    ),
  'preview-error': z
    .object({ branch: z.string(), error: z.string() })
    .describe('A preview’s request was refused, and why.'),
  terminal_error: z.object({ agentId, error: z.string() }).describe('A terminal’s request was refused, and why.'),
} as const
export type ServerEventName = keyof typeof serverEvents
export type ServerEventPayload<N extends ServerEventName> = z.infer<(typeof serverEvents)[N]>
/** One event on its way out. */
export type ServerEvent = { [N in ServerEventName]: readonly [N, ServerEventPayload<N>] }[ServerEventName]
