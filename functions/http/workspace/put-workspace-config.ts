import { createWorkspaceConfigStore } from '../../../shared/adapters/dynamodb/workspace-config-store.ts'
import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { systemClock } from '../../../shared/domain/clock.ts'
import { putWorkspaceConfig } from '../../../shared/domain/workspace-config/workspace-config.ts'
import { httpHandler } from '../../../shared/runtime/http-handler.ts'

const env = functionEnv('put-workspace-config', process.env)
const deps = { store: createWorkspaceConfigStore(env.ENVIRONMENTS_TABLE), clock: systemClock }

export const handler = httpHandler(routes.putWorkspaceConfig, async ({ actor, body }) => {
  await putWorkspaceConfig(actor, body, deps)
  return { ...body, message: 'Workspace layout saved' }
})
