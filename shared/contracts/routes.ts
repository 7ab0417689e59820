/**
 * The HTTP surface: the only place where a route is declared. CDK builds the API from it, handlers get their types and
 * validation from it, the OpenAPI document is written from it, and a test holds them together.
 *
 * To add a route: add it here, write its handler file, name what it uses in functions.ts.
 */
import * as z from 'zod'
import * as agents from './agents.ts'
import * as environments from './environments.ts'
import * as files from './files.ts'
import * as previews from './preview-api.ts'
import * as workspace from './workspace.ts'

export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'DELETE' | 'OPTIONS'

export interface Route {
  readonly method: HttpMethod
  /** API Gateway's form: `/api/agents/{id}`. */
  readonly path: string
  /**
   * `user`: the Lambda authorizer's JWT. `none`: anybody. `signature`: the existing server or an operator, by the internal API's
   * HMAC, which the handler checks. `member`: the handler checks the JWT itself, because the same request may be the existing
   * server's to judge.
   */
  readonly auth: 'user' | 'none' | 'signature' | 'member'
  readonly summary: string
  /** Id of the function (functions.ts) that answers. */
  readonly handler: string
  readonly params?: z.ZodType
  readonly query?: z.ZodType
  readonly body?: z.ZodType
  /** Header names (lower case) that the handler reads, for the OpenAPI document. */
  readonly headers?: readonly string[]
  readonly answer?: z.ZodType
  /** Statuses it may answer beside 200 and the platform's own 401, 403, 413, 500, 503. */
  readonly errors?: readonly number[]
  /** What answers may be asleep and is woken by the request: until it is there, 503 with `Retry-After` is the right answer and no fault. */
  readonly wakes?: true
}

/** Error body of every refusal that is ours; the authorizer's 401 and 403 carry `message` only. */
export const ErrorAnswerSchema = z.object({
  message: z.string(),
  code: z.string(),
  requestId: z.string(),
  details: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
})

const environment = { auth: 'user', params: environments.TeamParamsSchema, errors: [403, 404, 409] } as const
const preview = { auth: 'member' } as const
const openPreview = {
  method: 'GET',
  auth: 'none',
  handler: 'open-preview',
  params: previews.PreviewProxyParamsSchema,
  errors: [404, 409],
} as const
const agent = { auth: 'user', params: agents.AgentParamsSchema } as const

export const routes = {
  spawnAgent: {
    method: 'POST',
    path: '/api/agents/spawn',
    auth: 'user',
    summary: 'Start an agent. Answers at once; the container starts afterwards.',
    handler: 'spawn-agent',
    headers: ['idempotency-key'],
    body: agents.SpawnAgentBodySchema,
    answer: agents.SpawnAgentAnswerSchema,
    errors: [400, 403, 409, 422, 429],
  },
  listAgents: {
    method: 'GET',
    path: '/api/agents',
    auth: 'user',
    summary: "The team's agents, newest first.",
    handler: 'list-agents',
    query: agents.ListAgentsQuerySchema,
    answer: agents.ListAgentsAnswerSchema,
    errors: [400],
  },
  listAgentsAlias: {
    method: 'GET',
    path: '/api/agents/list',
    auth: 'user',
    summary: "The team's agents, newest first (the integration guide's path).",
    handler: 'list-agents',
    query: agents.ListAgentsQuerySchema,
    answer: agents.ListAgentsAnswerSchema,
    errors: [400],
  },
  deleteAllAgents: {
    method: 'DELETE',
    path: '/api/agents',
    auth: 'user',
    summary: "Delete all of the team's agents, stopping those that run.",
    handler: 'delete-all-agents',
    answer: agents.DeleteAllAnswerSchema,
  },
  getAgent: {
    ...agent,
    method: 'GET',
    path: '/api/agents/{id}',
    summary: 'One agent with its newest output lines.',
    handler: 'get-agent',
    answer: agents.AgentAnswerSchema,
    errors: [404],
  },
  deleteAgent: {
    ...agent,
    method: 'DELETE',
    path: '/api/agents/{id}',
    summary: 'Delete an agent, whatever its state; what runs is stopped.',
    handler: 'delete-agent',
    answer: agents.DeleteAnswerSchema,
    errors: [404],
  },
  getAgentOutput: {
    ...agent,
    method: 'GET',
    path: '/api/agents/{id}/output',
    summary: "An agent's output as lines.",
    handler: 'get-agent-output',
    query: agents.OutputQuerySchema,
    answer: agents.OutputAnswerSchema,
    errors: [400, 404],
  },
  stopAgent: {
    ...agent,
    method: 'POST',
    path: '/api/agents/{id}/stop',
    summary: 'Stop an agent. It is `killed` once its container has really stopped.',
    handler: 'stop-agent',
    answer: agents.StopAnswerSchema,
    errors: [404],
  },
  sendAgentInput: {
    ...agent,
    method: 'POST',
    path: '/api/agents/{id}/input',
    summary: "Type into an agent's terminal (its owner only).",
    handler: 'send-agent-input',
    body: agents.InputBodySchema,
    answer: agents.MessageAnswerSchema,
    errors: [400, 403, 404, 409],
  },
  sendAgentSignal: {
    ...agent,
    method: 'POST',
    path: '/api/agents/{id}/signal',
    summary: "Send a signal to an agent's foreground process (its owner only).",
    handler: 'send-agent-signal',
    body: agents.SignalBodySchema,
    answer: agents.MessageAnswerSchema,
    errors: [400, 403, 404, 409],
  },
  getAgentContainer: {
    ...agent,
    method: 'GET',
    path: '/api/agents/{id}/container',
    summary: "An agent's container.",
    handler: 'get-agent-container',
    answer: agents.ContainerAnswerSchema,
    errors: [404],
  },
  createEnvironment: {
    method: 'POST',
    path: '/api/environments',
    auth: 'user',
    summary: "Create the team's environment and start its workspace sync. Creating it again is no error.",
    handler: 'create-environment',
    body: environments.CreateEnvironmentBodySchema,
    answer: environments.CreateEnvironmentAnswerSchema,
    errors: [400, 403, 409, 422],
  },
  getEnvironment: {
    ...environment,
    method: 'GET',
    path: '/api/environments/{teamId}',
    summary: "The team's environment with every container of it.",
    handler: 'get-environment',
    answer: environments.TeamEnvironmentViewSchema,
  },
  getEnvironmentWhy: {
    ...environment,
    method: 'GET',
    path: '/api/environments/{teamId}/why',
    summary: 'What happened to each container, and why, in words.',
    handler: 'get-environment-why',
    query: environments.WhyQuerySchema,
    answer: environments.WhyAnswerSchema,
  },
  stopEnvironment: {
    ...environment,
    method: 'POST',
    path: '/api/environments/{teamId}/stop',
    summary: "Stop all of the team's containers; workspace sync last, after a last commit.",
    handler: 'stop-environment',
    answer: environments.EnvironmentActionAnswerSchema,
  },
  restartEnvironment: {
    ...environment,
    method: 'POST',
    path: '/api/environments/{teamId}/restart',
    summary: "Restart the team's workspace sync and every container of it that runs.",
    handler: 'restart-environment',
    answer: environments.EnvironmentActionAnswerSchema,
  },
  deleteEnvironment: {
    ...environment,
    method: 'DELETE',
    path: '/api/environments/{teamId}',
    summary: "Take the team's environment down, after a last commit. Its files stay for the next one.",
    handler: 'delete-environment',
    answer: environments.EnvironmentActionAnswerSchema,
  },
  removeTeam: {
    method: 'DELETE',
    path: '/internal/teams/{teamId}',
    auth: 'signature',
    params: environments.TeamParamsSchema,
    summary: 'Remove a team with all it has, its files and secrets included. For the existing server and operators.',
    handler: 'remove-team',
    headers: ['x-covibes-timestamp', 'x-covibes-signature'],
    answer: environments.RemoveTeamAnswerSchema,
    errors: [401],
  },
  listFiles: {
    method: 'GET',
    path: '/api/ide/files',
    auth: 'member',
    summary: "The workspace's files as a tree. The existing server answers for teams that are not on containers.",
    handler: 'list-files',
    query: files.ListFilesQuerySchema,
    answer: files.ListFilesAnswerSchema,
    errors: [400, 404, 409],
    wakes: true,
  },
  readFile: {
    method: 'GET',
    path: '/api/ide/file',
    auth: 'member',
    summary: 'A file of the workspace.',
    handler: 'read-file',
    query: files.ReadFileQuerySchema,
    answer: files.ReadFileAnswerSchema,
    errors: [400, 404, 409, 413],
    wakes: true,
  },
  writeFile: {
    method: 'POST',
    path: '/api/ide/file',
    auth: 'member',
    summary: 'Write a file of the workspace, whole or not at all.',
    handler: 'write-file',
    body: files.WriteFileBodySchema,
    answer: files.WriteFileAnswerSchema,
    errors: [400, 404, 409, 413, 507],
    wakes: true,
  },
  getPreviewStatus: {
    ...preview,
    method: 'GET',
    path: '/api/preview/status',
    summary: "The team's previews. The existing server answers for teams that are not on containers, here and below.",
    handler: 'get-preview-status',
    answer: previews.PreviewStatusAnswerSchema,
  },
  createPreview: {
    ...preview,
    method: 'POST',
    path: '/api/preview/create',
    summary: 'Start the preview of a branch. One that runs stays as it is. `url` lets its first visitor in, once.',
    handler: 'create-preview',
    body: previews.CreatePreviewBodySchema,
    answer: previews.PreviewAnswerSchema,
    errors: [400, 409],
  },
  restartPreview: {
    ...preview,
    method: 'POST',
    path: '/api/preview/restart',
    summary: 'Start the preview of a branch anew. The body may be left out.',
    handler: 'restart-preview',
    body: previews.PreviewBranchBodySchema,
    answer: previews.PreviewAnswerSchema,
    errors: [400, 409],
  },
  stopPreview: {
    ...preview,
    method: 'POST',
    path: '/api/preview/stop',
    summary: 'Stop the preview of a branch; a visit does not start it again. The body may be left out.',
    handler: 'stop-preview',
    body: previews.PreviewBranchBodySchema,
    answer: previews.StopPreviewAnswerSchema,
    errors: [400],
  },
  getPreviewLogs: {
    ...preview,
    method: 'GET',
    path: '/api/preview/logs/{branch}',
    summary: "What a preview's dev server has written, as lines.",
    handler: 'get-preview-logs',
    params: previews.PreviewParamsSchema,
    query: agents.OutputQuerySchema,
    answer: previews.PreviewLogsAnswerSchema,
    errors: [404],
  },
  openPreview: {
    ...openPreview,
    path: '/api/preview/proxy/{team}/{branch}',
    summary: "Redirects to the preview's own host; a member's bearer token makes that the way in.",
  },
  openPreviewPath: {
    ...openPreview,
    path: '/api/preview/proxy/{team}/{branch}/',
    summary: "Redirects to the preview's own host, with whatever path follows.",
  },
  getWorkspaceConfig: {
    method: 'GET',
    path: '/api/workspace/config',
    auth: 'user',
    summary: "The team's workspace layout, as it was last stored.",
    handler: 'get-workspace-config',
    answer: workspace.WorkspaceConfigSchema,
  },
  putWorkspaceConfig: {
    method: 'PUT',
    path: '/api/workspace/config',
    auth: 'user',
    summary: "Store the team's whole workspace layout; the last writer wins.",
    handler: 'put-workspace-config',
    body: workspace.WorkspaceConfigSchema,
    answer: workspace.StoredWorkspaceConfigSchema,
    errors: [400, 413],
  },
  getAuthMe: {
    method: 'GET',
    path: '/api/auth/me',
    // The existing server judges the token: a refusal of ours for a reason of ours would sign its member out.
    auth: 'none',
    summary:
      'The member and the team of the bearer token, from the existing server or, while that is in trouble, as it last said.',
    handler: 'get-auth-me',
    errors: [401, 403, 404, 502, 504],
  },
  getOpenApi: {
    method: 'GET',
    path: '/api/openapi.json',
    auth: 'none',
    summary: 'This API as an OpenAPI 3.1 document.',
    handler: 'get-openapi',
  },
  getHealth: {
    method: 'GET',
    path: '/api/health',
    auth: 'none',
    summary: '200 once the control plane can read its tables.',
    handler: 'get-health',
    answer: z.object({ status: z.literal('ok'), stage: z.string() }),
  },
  pollSocket: {
    method: 'GET',
    path: '/socket.io/',
    auth: 'none',
    summary: 'Engine.IO 4 long poll (Socket.IO 5).',
    handler: 'poll-socket',
  },
  postSocket: {
    method: 'POST',
    path: '/socket.io/',
    auth: 'none',
    summary: 'Engine.IO 4 polling payload (Socket.IO 5).',
    handler: 'post-socket',
  },
} as const satisfies Record<string, Route>

/** API Gateway's `$default`: whatever no route above takes, by any method, is the existing server's and goes there unchanged. */
export const defaultRoute = {
  routeKey: '$default',
  handler: 'forward-request',
  summary: 'The existing server authorizes what is forwarded to it.',
} as const

type Parsed<R, K extends string> = R extends Record<K, infer S extends z.ZodType> ? z.infer<S> : undefined
/** What a route's handler gets, from its schemas. */
export type RouteInput<R extends Route> = {
  params: Parsed<R, 'params'>
  query: Parsed<R, 'query'>
  body: Parsed<R, 'body'>
}
export type RouteAnswer<R extends Route> = R extends { answer: infer S extends z.ZodType } ? z.input<S> : unknown
