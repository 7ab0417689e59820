import { functionEnv } from '../../shared/contracts/functions.ts'
import { pingConnections } from '../../shared/domain/realtime/pings.ts'
import { scheduleHandler } from '../../shared/runtime/async-handlers.ts'
import { logger } from '../../shared/runtime/logger.ts'
import { pingDeps } from '../../shared/runtime/realtime-deps.ts'

const deps = pingDeps(functionEnv('ping-connections', process.env))

export const handler = scheduleHandler(async () => {
  logger.info('Connections pinged', { ...(await pingConnections(deps)) })
})
