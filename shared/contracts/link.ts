/**
 * The link: a container's one outbound WebSocket to the control plane, plain JSON text frames.
 *
 * Connecting: headers `x-covibes-environment: <team>/<record>/<generation>` and `authorization`. The first connect shows the
 * single-use ticket of the RunTask override (`Ticket <ticket>`) together with `x-covibes-link-key-hash`, the SHA-256 (hex)
 * of a random key that the container made itself; later connects show that key (`Link <key>`). So no credential is ever sent
 * to the container in a form that an ECS event could hold, and a lost answer does not lock it out. A refusal is the
 * upgrade's HTTP status: 401/403 final, anything else is to be tried again with back-off.
 *
 * The container speaks first (`hello`), because API Gateway cannot post during $connect.
 */
import * as z from 'zod'
import { MAX_TERMINAL, WEBSOCKET_MAX_FRAME_BYTES } from './limits.ts'

export const LINK_HEADERS = {
  environment: 'x-covibes-environment',
  authorization: 'authorization',
  keyHash: 'x-covibes-link-key-hash',
} as const

/** Names of the variables that a container gets by RunTask override, and of those in its task definition. */
export const CONTAINER_ENV = {
  environment: 'COVIBES_ENVIRONMENT',
  ticket: 'COVIBES_LINK_TICKET',
  linkUrl: 'COVIBES_LINK_URL',
  workspace: 'COVIBES_WORKSPACE',
} as const

const byteOffset = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)

/** Signals a member may send to an agent's foreground process group. */
export const AgentSignalSchema = z.enum(['SIGINT', 'SIGTERM', 'SIGKILL', 'SIGHUP', 'SIGQUIT', 'SIGTSTP', 'SIGCONT'])
export type AgentSignal = z.infer<typeof AgentSignalSchema>

/** `action` is API Gateway's route selection key: every message of a link carries it. */
const up = { action: z.literal('link') }

/** Container to control plane. */
export const LinkUpSchema = z.discriminatedUnion('type', [
  z.object({ ...up, type: z.literal('hello'), protocol: z.literal(1) }),
  /** Terminal output: `offset` counts UTF-8 bytes since the generation's start, `data` never splits a character. One in flight. */
  z.object({
    ...up,
    type: z.literal('output'),
    offset: byteOffset,
    data: z.string().min(1).max(WEBSOCKET_MAX_FRAME_BYTES),
  }),
  z.object({
    ...up,
    type: z.literal('health'),
    status: z.enum(['healthy', 'unhealthy']),
    detail: z.string().max(500).optional(),
    /** Inputs that arrived outside the reorder window since the start. */
    lateInputs: z.number().int().min(0).optional(),
  }),
  /** The agent's process has ended; the container's own exit with the same code follows. `reason` is for a person. */
  z.object({
    ...up,
    type: z.literal('exit'),
    exitCode: z.number().int().min(0).max(255),
    signal: z.string().max(20).optional(),
    reason: z.string().max(500).optional(),
  }),
])
export type LinkUp = z.infer<typeof LinkUpSchema>

/** Control plane to container. */
export const LinkDownSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('welcome'),
    agent: z.object({
      program: z.enum(['claude', 'mock']),
      name: z.string(),
      /** Empty: an interactive session. */
      task: z.string(),
    }),
    /** Present for `claude` only. */
    model: z.object({ apiKey: z.string().min(1), baseUrl: z.string().optional() }).optional(),
    repository: z.object({ url: z.string() }).optional(),
    terminal: z.object({
      cols: z.number().int().min(1).max(MAX_TERMINAL.cols),
      rows: z.number().int().min(1).max(MAX_TERMINAL.rows),
    }),
    /** Bytes of output that the log already holds for this generation: send from here. */
    acknowledged: byteOffset,
  }),
  /** The log holds everything below `offset`. */
  z.object({ type: z.literal('ack'), offset: byteOffset }),
  /** `at`: the gateway's receive time in ms since the epoch, the order of inputs; `id` unique, against doubled posts. */
  z.object({ type: z.literal('input'), id: z.string(), at: z.number(), data: z.string() }),
  z.object({ type: z.literal('resize'), cols: z.number().int(), rows: z.number().int() }),
  z.object({ type: z.literal('signal'), signal: AgentSignalSchema }),
  /** The record wants no container any more: end now, with this reason. */
  z.object({ type: z.literal('dismissed'), reason: z.string() }),
])
export type LinkDown = z.infer<typeof LinkDownSchema>
