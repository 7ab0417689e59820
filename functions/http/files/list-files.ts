import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { askSync } from '../../../shared/domain/files/ask-sync.ts'
import { requestOf } from '../../../shared/runtime/environment-deps.ts'
import { filesDeps } from '../../../shared/runtime/files-deps.ts'
import { memberDeps } from '../../../shared/runtime/member-deps.ts'
import { memberHandler } from '../../../shared/runtime/member-handler.ts'

const env = functionEnv('list-files', process.env)
const deps = filesDeps(env)

export const handler = memberHandler(routes.listFiles, memberDeps(env), ({ query, actor, correlationId }) =>
  askSync(requestOf(actor, correlationId), { op: 'list', ...query }, deps),
)
