/**
 * Every Lambda function: its entry file, what triggers it and what it uses. `uses` decides both the function's variables and
 * its role: CDK grants exactly what stands here, and `functionEnv` parses exactly that at cold start.
 */
import * as z from 'zod'

const name = z.string().min(1)
const commaList = z
  .string()
  .min(1)
  .transform((value) => value.split(','))

/** What a function may use: the variables that come with it. `:read` variants share the variables and differ in the grant. */
export const capabilityEnv = {
  environments: z.object({ ENVIRONMENTS_TABLE: name }),
  'environments:read': z.object({ ENVIRONMENTS_TABLE: name }),
  connections: z.object({ CONNECTIONS_TABLE: name }),
  terminalLog: z.object({ TERMINAL_LOG_TABLE: name }),
  'terminalLog:read': z.object({ TERMINAL_LOG_TABLE: name }),
  /** USE_DOCKER_AGENTS is the stage's default for teams whose flags say nothing. */
  'flags:read': z.object({ FLAGS_TABLE: name, USE_DOCKER_AGENTS: z.enum(['true', 'false']) }),
  workQueue: z.object({ WORK_QUEUE_URL: z.url() }),
  eventBus: z.object({ EVENT_BUS_NAME: name }),
  /** The management endpoint of the WebSocket API with its stage; posting, reading and closing connections. */
  socketPosts: z.object({ WEBSOCKET_ENDPOINT: z.url() }),
  runTasks: z.object({
    CLUSTER_ARN: name,
    /** The stage's own definitions, from which each team's are made. */
    AGENT_TASK_DEFINITION: name,
    SYNC_TASK_DEFINITION: name,
    PREVIEW_TASK_DEFINITION: name,
    /** Names of the container in them. */
    AGENT_CONTAINER: name,
    SYNC_CONTAINER: name,
    PREVIEW_CONTAINER: name,
    TASK_SUBNETS: commaList,
    /** Of agents and workspace sync, which nobody may connect to. */
    TASK_SECURITY_GROUPS: commaList,
    /** Of previews, which the gateway may connect to. */
    PREVIEW_SECURITY_GROUPS: commaList,
    TASK_PUBLIC_IP: z.enum(['ENABLED', 'DISABLED']),
    /** `FARGATE` or `FARGATE_SPOT`. */
    TASK_CAPACITY_PROVIDER: z.enum(['FARGATE', 'FARGATE_SPOT']),
  }),
  /** Reading and writing `LABEL#` items of the directory of previews: with the record, in one transaction. */
  previews: z.object({ PREVIEWS_TABLE: name }),
  /** Minutes without a visitor after which a preview is stopped, to start again with the next one. */
  previewIdle: z.object({ PREVIEW_IDLE_MINUTES: z.coerce.number().positive() }),
  /**
   * Making addresses of previews. The pattern is an origin, `https://{label}.preview.example.com`; absent: the stage has no preview
   * domain. The secret, a string of 43 characters or more, signs tickets; the gateway has it too.
   */
  previewLinks: z.object({
    PREVIEW_ORIGIN_PATTERN: z
      .string()
      .regex(/^https?:\/\/\{label\}\.[a-z0-9.-]+(:\d{1,5})?$/, 'must be like "https://{label}.preview.example.com"')
      .optional(),
    PREVIEW_SECRET_ID: name,
  }),
  /** A team's access points, roles and task definitions: made when first needed, removed with the team. */
  teamResources: z.object({
    FILE_SYSTEM_ID: name,
    FILE_SYSTEM_ARN: name,
    /** `/covibes/<stage>/teams/`: what may be created and passed. */
    TEAM_ROLE_PATH: name,
    /** `covibes-<stage>-`: of the names of roles and task definition families. */
    TEAM_NAME_PREFIX: name,
    /** Managed policy that no team's role may exceed. */
    TEAM_ROLE_BOUNDARY: name,
  }),
  /** Deletes all secrets of a team that is removed. */
  teamSecrets: z.object({ TEAM_SECRETS_PREFIX: name }),
  stopTasks: z.object({ CLUSTER_ARN: name }),
  readTasks: z.object({ CLUSTER_ARN: name }),
  /** Secret that holds the existing server's JWT_SECRET as its string. */
  jwtSecret: z.object({ JWT_SECRET_ID: name }),
  /** Secret from which link tickets are derived, so that a repeated RunTask carries the same parameters. */
  linkSecret: z.object({ LINK_SECRET_ID: name }),
  /** `<prefix>/<teamId>/model-key` is the secret of a team's model key. */
  modelKeys: z.object({ TEAM_SECRETS_PREFIX: name, MODEL_BASE_URL: z.url().optional() }),
  /** `<prefix>/<teamId>/git-credentials`: a token or deploy key, as JSON (`GitCredentialSchema`). For workspace sync only. */
  gitCredentials: z.object({ TEAM_SECRETS_PREFIX: name, ALLOW_LOOPBACK_REPOSITORIES: z.enum(['true', 'false']) }),
  /** Whether addresses of this machine may be repositories: the one-machine runtime. */
  repositories: z.object({ ALLOW_LOOPBACK_REPOSITORIES: z.enum(['true', 'false']) }),
  /** Secret that signs requests of the internal API. */
  internalApiSecret: z.object({ INTERNAL_API_SECRET_ID: name }),
  /** The existing Covibes server; absent: there is none, names fall back to ids. */
  existingServer: z.object({ LEGACY_API_URL: z.url().optional() }),
} as const
export type Capability = keyof typeof capabilityEnv

/** Variables that every function has. */
export const CommonEnv = z.object({
  STAGE: name,
  POWERTOOLS_SERVICE_NAME: name,
  LOG_LEVEL: z.enum(['DEBUG', 'INFO', 'WARN', 'ERROR']).default('INFO'),
})

/** What `publish` needs: ledger and outbox, sessions, terminal logs, posts, the bus, and the queue for what must come later. */
const delivery = ['environments', 'connections', 'terminalLog:read', 'socketPosts', 'eventBus', 'workQueue'] as const

export interface FunctionContract {
  /** Path from the repository root. It exports `handler`. */
  readonly entry: string
  readonly trigger: 'http' | 'authorizer' | 'websocket' | 'event' | 'queue' | 'schedule'
  readonly uses: readonly Capability[]
  /** Seconds. HTTP integrations end at 29 s, so nothing behind the API is longer. */
  readonly timeoutSeconds: number
  /** MiB; also sets the CPU share. */
  readonly memoryMb: number
}

const http = { trigger: 'http', timeoutSeconds: 15, memoryMb: 512 } as const
/** What is the existing server's goes there, which may take its time. */
const forwarding = { ...http, timeoutSeconds: 28 } as const
/** They forward what is the existing server's, wake workspace sync, and wait for its answer. */
const files = {
  ...http,
  timeoutSeconds: 28,
  uses: [...delivery, 'jwtSecret', 'flags:read', 'existingServer'],
} as const
const schedule = { trigger: 'schedule', timeoutSeconds: 55, memoryMb: 512 } as const

export const functions = {
  'authorize-user': {
    entry: 'functions/authorizers/authorize-user.ts',
    trigger: 'authorizer',
    uses: ['jwtSecret'],
    timeoutSeconds: 5,
    memoryMb: 256,
  },
  'spawn-agent': {
    ...http,
    entry: 'functions/http/agents/spawn-agent.ts',
    uses: [...delivery, 'flags:read', 'existingServer', 'repositories'],
  },
  'list-agents': {
    ...http,
    entry: 'functions/http/agents/list-agents.ts',
    uses: ['environments:read', 'flags:read', 'existingServer'],
  },
  'get-agent': {
    ...http,
    entry: 'functions/http/agents/get-agent.ts',
    uses: ['environments:read', 'terminalLog:read', 'flags:read', 'existingServer'],
  },
  'get-agent-output': {
    ...http,
    entry: 'functions/http/agents/get-agent-output.ts',
    uses: ['environments:read', 'terminalLog:read', 'flags:read', 'existingServer'],
  },
  'get-agent-container': {
    ...http,
    entry: 'functions/http/agents/get-agent-container.ts',
    uses: ['environments:read', 'flags:read', 'existingServer'],
  },
  'stop-agent': {
    ...http,
    entry: 'functions/http/agents/stop-agent.ts',
    uses: [...delivery, 'flags:read', 'existingServer'],
  },
  'delete-agent': {
    ...http,
    entry: 'functions/http/agents/delete-agent.ts',
    uses: [...delivery, 'flags:read', 'existingServer'],
  },
  'delete-all-agents': {
    ...http,
    entry: 'functions/http/agents/delete-all-agents.ts',
    timeoutSeconds: 28,
    uses: [...delivery, 'flags:read', 'existingServer'],
  },
  'send-agent-input': {
    ...http,
    entry: 'functions/http/agents/send-agent-input.ts',
    uses: ['environments:read', 'connections', 'socketPosts', 'flags:read', 'existingServer'],
  },
  'send-agent-signal': {
    ...http,
    entry: 'functions/http/agents/send-agent-signal.ts',
    uses: ['environments', 'connections', 'socketPosts', 'flags:read', 'existingServer'],
  },
  'create-environment': {
    ...http,
    entry: 'functions/http/environments/create-environment.ts',
    uses: [...delivery, 'flags:read', 'existingServer', 'repositories'],
  },
  'get-environment': {
    ...http,
    entry: 'functions/http/environments/get-environment.ts',
    uses: ['environments:read'],
  },
  'get-environment-why': {
    ...http,
    entry: 'functions/http/environments/get-environment-why.ts',
    uses: ['environments:read'],
  },
  'stop-environment': {
    ...http,
    entry: 'functions/http/environments/stop-environment.ts',
    timeoutSeconds: 28,
    uses: [...delivery, 'previews'],
  },
  'restart-environment': {
    ...http,
    entry: 'functions/http/environments/restart-environment.ts',
    timeoutSeconds: 28,
    uses: [...delivery, 'previews', 'flags:read'],
  },
  'delete-environment': {
    ...http,
    entry: 'functions/http/environments/delete-environment.ts',
    timeoutSeconds: 28,
    uses: [...delivery, 'previews'],
  },
  'remove-team': {
    ...http,
    entry: 'functions/http/internal/remove-team.ts',
    timeoutSeconds: 28,
    uses: [...delivery, 'internalApiSecret'],
  },
  'list-files': { ...files, entry: 'functions/http/files/list-files.ts' },
  'read-file': { ...files, entry: 'functions/http/files/read-file.ts' },
  'write-file': { ...files, entry: 'functions/http/files/write-file.ts' },
  'get-preview-status': {
    ...forwarding,
    entry: 'functions/http/previews/get-preview-status.ts',
    uses: ['environments:read', 'jwtSecret', 'flags:read', 'existingServer'],
  },
  'create-preview': {
    ...forwarding,
    entry: 'functions/http/previews/create-preview.ts',
    uses: [...delivery, 'previews', 'previewLinks', 'jwtSecret', 'flags:read', 'existingServer', 'repositories'],
  },
  'restart-preview': {
    ...forwarding,
    entry: 'functions/http/previews/restart-preview.ts',
    uses: [...delivery, 'previews', 'previewLinks', 'jwtSecret', 'flags:read', 'existingServer', 'repositories'],
  },
  'stop-preview': {
    ...forwarding,
    entry: 'functions/http/previews/stop-preview.ts',
    uses: [...delivery, 'previews', 'jwtSecret', 'flags:read', 'existingServer'],
  },
  'get-preview-logs': {
    ...forwarding,
    entry: 'functions/http/previews/get-preview-logs.ts',
    uses: ['environments:read', 'terminalLog:read', 'jwtSecret', 'flags:read', 'existingServer'],
  },
  'open-preview': {
    ...forwarding,
    entry: 'functions/http/previews/open-preview.ts',
    uses: ['environments:read', 'previewLinks', 'jwtSecret', 'flags:read', 'existingServer'],
  },
  'get-workspace-config': {
    ...http,
    entry: 'functions/http/workspace/get-workspace-config.ts',
    uses: ['environments:read'],
  },
  'put-workspace-config': {
    ...http,
    entry: 'functions/http/workspace/put-workspace-config.ts',
    uses: ['environments'],
  },
  'get-auth-me': {
    ...http,
    entry: 'functions/http/existing-server/get-auth-me.ts',
    timeoutSeconds: 28,
    uses: ['connections', 'existingServer'],
  },
  'forward-request': {
    ...http,
    entry: 'functions/http/existing-server/forward-request.ts',
    timeoutSeconds: 28,
    uses: ['existingServer'],
  },
  'get-openapi': { ...http, entry: 'functions/http/meta/get-openapi.ts', uses: [], memoryMb: 256 },
  'get-health': { ...http, entry: 'functions/http/meta/get-health.ts', uses: ['flags:read'], memoryMb: 256 },
  'poll-socket': {
    ...http,
    entry: 'functions/http/socket/poll-socket.ts',
    timeoutSeconds: 28,
    uses: [...delivery],
  },
  'post-socket': {
    ...http,
    entry: 'functions/http/socket/post-socket.ts',
    uses: [...delivery, 'previews', 'previewLinks', 'jwtSecret', 'flags:read', 'existingServer'],
  },
  'on-connect': {
    entry: 'functions/websocket/on-connect.ts',
    trigger: 'websocket',
    timeoutSeconds: 10,
    memoryMb: 512,
    uses: ['environments', 'connections', 'workQueue'],
  },
  'on-disconnect': {
    entry: 'functions/websocket/on-disconnect.ts',
    trigger: 'websocket',
    timeoutSeconds: 10,
    memoryMb: 512,
    uses: ['connections'],
  },
  'on-socket-message': {
    entry: 'functions/websocket/on-socket-message.ts',
    trigger: 'websocket',
    timeoutSeconds: 28,
    memoryMb: 512,
    uses: [...delivery, 'previews', 'previewLinks', 'jwtSecret', 'flags:read', 'existingServer'],
  },
  'on-link-message': {
    entry: 'functions/websocket/on-link-message.ts',
    trigger: 'websocket',
    timeoutSeconds: 28,
    memoryMb: 512,
    uses: [...delivery, 'previews', 'terminalLog', 'modelKeys', 'gitCredentials'],
  },
  'on-task-state-changed': {
    entry: 'functions/events/on-task-state-changed.ts',
    trigger: 'event',
    timeoutSeconds: 28,
    memoryMb: 512,
    uses: [...delivery, 'previews', 'stopTasks'],
  },
  'on-work': {
    entry: 'functions/events/on-work.ts',
    trigger: 'queue',
    timeoutSeconds: 28,
    memoryMb: 512,
    uses: [...delivery, 'previews', 'runTasks', 'stopTasks', 'linkSecret', 'teamResources', 'teamSecrets'],
  },
  'reconcile-tasks': {
    ...schedule,
    entry: 'functions/schedules/reconcile-tasks.ts',
    uses: [...delivery, 'previews', 'previewIdle', 'readTasks', 'stopTasks'],
  },
  'sweep-outbox': { ...schedule, entry: 'functions/schedules/sweep-outbox.ts', uses: [...delivery] },
  'ping-connections': {
    ...schedule,
    entry: 'functions/schedules/ping-connections.ts',
    uses: ['connections', 'socketPosts'],
  },
} as const satisfies Record<string, FunctionContract>

export type FunctionId = keyof typeof functions

type Env<C extends Capability> = z.infer<(typeof capabilityEnv)[C]>
type Intersect<U> = (U extends unknown ? (value: U) => void : never) extends (value: infer I) => void ? I : never
/** The variables of a function, as its handler sees them. */
export type FunctionEnv<F extends FunctionId> = z.infer<typeof CommonEnv> &
  ((typeof functions)[F]['uses'][number] extends never
    ? unknown
    : Intersect<{ [C in (typeof functions)[F]['uses'][number]]: Env<C> }[(typeof functions)[F]['uses'][number]]>)

/** Parses a function's variables: throws at cold start, naming the variable, when the stack and this file disagree. */
export function functionEnv<F extends FunctionId>(
  id: F,
  variables: Record<string, string | undefined>,
): FunctionEnv<F> {
  const contract: FunctionContract = functions[id]
  const parsed = contract.uses.map((capability) => capabilityEnv[capability].parse(variables))
  return Object.assign({}, CommonEnv.parse(variables), ...parsed) as FunctionEnv<F>
}
