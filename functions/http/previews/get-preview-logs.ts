import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { previewLogs } from '../../../shared/domain/previews/answers.ts'
import { viewDeps } from '../../../shared/runtime/environment-deps.ts'
import { memberDeps } from '../../../shared/runtime/member-deps.ts'
import { memberHandler } from '../../../shared/runtime/member-handler.ts'
import { terminalLogReader } from '../../../shared/runtime/realtime-deps.ts'

const env = functionEnv('get-preview-logs', process.env)
const deps = viewDeps(env)
const log = terminalLogReader(env)

export const handler = memberHandler(routes.getPreviewLogs, memberDeps(env), ({ params, query, actor }) =>
  previewLogs({ teamId: actor.teamId, branch: params.branch }, query, log, deps),
)
