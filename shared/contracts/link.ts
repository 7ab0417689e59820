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
import { MAX_MESSAGE_PARTS, MAX_TERMINAL, WEBSOCKET_MAX_FRAME_BYTES, WEBSOCKET_MAX_MESSAGE_BYTES } from './limits.ts'
import { PreviewReportSchema, PreviewTreesSchema, WelcomePreviewSchema } from './preview-link.ts'

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
  /** Agents: the working tree, a folder of the team's shared files. It appears when workspace sync has made it. */
  workspace: 'COVIBES_WORKSPACE',
  /** Workspace sync: where all of the team's files are, `TEAM_FILES` below it. */
  teamRoot: 'COVIBES_TEAM_ROOT',
} as const

/**
 * What lies in a team's part of the file system. Agents and previews see `shared` only; sync's own repository and its journal
 * lie beside it, where they cannot write, and so does what previews keep of the packages they install, which previews alone write.
 */
export const TEAM_FILES = {
  shared: 'shared',
  workspace: 'shared/workspace',
  previews: 'shared/previews',
  sync: 'sync',
  cache: 'cache',
} as const

const byteOffset = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)

/** Signals a member may send to an agent's foreground process group. */
export const AgentSignalSchema = z.enum(['SIGINT', 'SIGTERM', 'SIGKILL', 'SIGHUP', 'SIGQUIT', 'SIGTSTP', 'SIGCONT'])
export type AgentSignal = z.infer<typeof AgentSignalSchema>

/** A message too large for one frame, in parts. `data` is a piece of its JSON text that splits no character. */
export const MessagePartSchema = z.object({
  id: z.string().min(1).max(64),
  part: z
    .number()
    .int()
    .min(0)
    .max(MAX_MESSAGE_PARTS - 1),
  parts: z.number().int().min(1).max(MAX_MESSAGE_PARTS),
  data: z.string().max(WEBSOCKET_MAX_MESSAGE_BYTES),
})

/** A part of an answer. With `encoding`, `data` is a piece of the base64 of the gzipped JSON text: each message costs an invocation. */
export const AnswerPartSchema = MessagePartSchema.extend({ encoding: z.literal('gzip').optional() })

/**
 * How the team's repository stands, as workspace sync tells it. `synced`: what is in the workspace is at the remote (or there
 * is none). `unpushed`: committed here, the remote did not take it yet. `failed`: nothing can be done until somebody acts.
 */
export const SyncReportSchema = z.object({
  state: z.enum(['preparing', 'synced', 'unpushed', 'failed']),
  branch: z.string().max(255).optional(),
  commit: z
    .string()
    .regex(/^[0-9a-f]{40,64}$/)
    .optional(),
  detail: z.string().max(500).optional(),
  /** Branches that were made because something could not be merged, since the last report. */
  rescued: z.array(z.string().max(255)).max(10).optional(),
  /** Paths that are not committed, and why. */
  skipped: z
    .array(z.object({ path: z.string().max(1024), why: z.string().max(200) }))
    .max(20)
    .optional(),
})
export type SyncReport = z.infer<typeof SyncReportSchema>

/** What sync shows to a remote; it leaves sync's memory for git's own processes only. */
export const GitCredentialSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('token'),
    username: z.string().min(1).default('x-access-token'),
    token: z.string().min(1),
  }),
  z.object({ kind: z.literal('ssh-key'), privateKey: z.string().min(1), knownHosts: z.string().optional() }),
])
export type GitCredential = z.infer<typeof GitCredentialSchema>

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
  /** Workspace sync: how the team's repository stands. `detail` is for the team's members. */
  z.object({ ...up, type: z.literal('sync'), ...SyncReportSchema.shape }),
  /** Workspace sync: who has worked in the workspace since then? Answered by `authors` with the same id. */
  z.object({ ...up, type: z.literal('ask-authors'), id: z.string().min(1).max(64), since: z.iso.datetime() }),
  /** Preview: how far it is. */
  z.object({ ...up, type: z.literal('preview'), ...PreviewReportSchema.shape }),
  /** Part `part` (from 0) of `parts` of the JSON that answers a request; the parts may arrive in any order. */
  z.object({ ...up, type: z.literal('answer'), ...AnswerPartSchema.shape }),
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
  /** To workspace sync. `erase`: remove every file of the team, then end with 0. */
  z.object({
    type: z.literal('welcome-sync'),
    purpose: z.enum(['sync', 'erase']),
    repository: z.object({ url: z.string(), credential: GitCredentialSchema.optional() }).optional(),
    /** Repositories on this machine's own addresses are allowed: the one-machine runtime. */
    allowLoopback: z.boolean(),
    /** Branches whose working trees are to be kept for previews; absent: none. */
    previews: PreviewTreesSchema.optional(),
  }),
  /** To workspace sync: these branches, and no others, have previews from now on. */
  z.object({ type: z.literal('preview-branches'), branches: PreviewTreesSchema }),
  /** To workspace sync: begin a round now, a member waits for what is at the remote. */
  z.object({ type: z.literal('sync-now') }),
  WelcomePreviewSchema,
  z.object({
    type: z.literal('authors'),
    id: z.string(),
    authors: z.array(z.object({ name: z.string(), email: z.string() })).max(100),
  }),
  /** Part of a request of the files API, `FilesRequestSchema` as JSON. */
  z.object({ type: z.literal('request'), ...MessagePartSchema.shape }),
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
