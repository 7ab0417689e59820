import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { previewsStatus } from '../../../shared/domain/previews/view.ts'
import { viewDeps } from '../../../shared/runtime/environment-deps.ts'
import { memberDeps } from '../../../shared/runtime/member-deps.ts'
import { memberHandler } from '../../../shared/runtime/member-handler.ts'

const env = functionEnv('get-preview-status', process.env)
const deps = viewDeps(env)

export const handler = memberHandler(routes.getPreviewStatus, memberDeps(env), ({ actor }) =>
  previewsStatus(actor.teamId, deps),
)
