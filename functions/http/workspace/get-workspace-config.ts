import { createWorkspaceConfigStore } from '../../../shared/adapters/dynamodb/workspace-config-store.ts'
import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { getWorkspaceConfig } from '../../../shared/domain/workspace-config/workspace-config.ts'
import { httpHandler } from '../../../shared/runtime/http-handler.ts'

const env = functionEnv('get-workspace-config', process.env)
const deps = { store: createWorkspaceConfigStore(env.ENVIRONMENTS_TABLE) }

export const handler = httpHandler(routes.getWorkspaceConfig, ({ actor }) => getWorkspaceConfig(actor, deps))
