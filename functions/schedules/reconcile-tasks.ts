import { functionEnv } from '../../shared/contracts/functions.ts'
import { reconcile } from '../../shared/domain/environments/reconcile.ts'
import { tendTeams } from '../../shared/domain/teams/tend.ts'
import { scheduleHandler } from '../../shared/runtime/async-handlers.ts'
import { logger } from '../../shared/runtime/logger.ts'
import { reconcileDeps } from '../../shared/runtime/task-deps.ts'

const deps = reconcileDeps(functionEnv('reconcile-tasks', process.env))

export const handler = scheduleHandler(async () => {
  logger.info('Tasks reconciled', { ...(await reconcile(deps)) })
  logger.info('Teams looked after', { ...(await tendTeams(deps)) })
})
