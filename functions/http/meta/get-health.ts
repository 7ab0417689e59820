import { createFlagStore } from '../../../shared/adapters/dynamodb/flag-store.ts'
import { functionEnv } from '../../../shared/contracts/functions.ts'
import { routes } from '../../../shared/contracts/routes.ts'
import { httpHandler } from '../../../shared/runtime/http-handler.ts'

const env = functionEnv('get-health', process.env)
const flags = createFlagStore(env.FLAGS_TABLE)

export const handler = httpHandler(routes.getHealth, async () => {
  await flags.readAll()
  return { status: 'ok' as const, stage: env.STAGE }
})
