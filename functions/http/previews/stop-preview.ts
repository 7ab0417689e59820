import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { stopPreview } from '../../../shared/domain/previews/operations.ts'
import { previewView } from '../../../shared/domain/previews/view.ts'
import { memberDeps } from '../../../shared/runtime/member-deps.ts'
import { memberHandler } from '../../../shared/runtime/member-handler.ts'
import { previewDeps } from '../../../shared/runtime/preview-deps.ts'

const env = functionEnv('stop-preview', process.env)
const deps = previewDeps(env)

export const handler = memberHandler(routes.stopPreview, memberDeps(env), async ({ body, actor, correlationId }) => {
  const record = await stopPreview({ ...body, member: actor, correlationId }, deps)
  const { message, status } = previewView(body.branch, record)
  return { message, status }
})
