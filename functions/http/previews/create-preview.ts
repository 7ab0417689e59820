import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { createdPreview } from '../../../shared/domain/previews/answers.ts'
import { memberDeps } from '../../../shared/runtime/member-deps.ts'
import { memberHandler } from '../../../shared/runtime/member-handler.ts'
import { startPreviewDeps } from '../../../shared/runtime/preview-deps.ts'

const env = functionEnv('create-preview', process.env)
const deps = startPreviewDeps(env)

export const handler = memberHandler(routes.createPreview, memberDeps(env), ({ body, actor, token, correlationId }) =>
  createdPreview({ ...body, member: { ...actor, token }, correlationId }, deps),
)
