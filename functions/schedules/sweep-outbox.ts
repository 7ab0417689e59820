import { functionEnv } from '../../shared/contracts/functions.ts'
import { SWEEP_RESERVE_MS } from '../../shared/domain/realtime/limits.ts'
import { sweepOutbox } from '../../shared/domain/realtime/publishing.ts'
import { scheduleHandler } from '../../shared/runtime/async-handlers.ts'
import { logger } from '../../shared/runtime/logger.ts'
import { publishDeps } from '../../shared/runtime/realtime-deps.ts'

const deps = publishDeps(functionEnv('sweep-outbox', process.env))

export const handler = scheduleHandler(async ({ remainingMs }) => {
  const until = deps.clock.now().getTime() + remainingMs() - SWEEP_RESERVE_MS
  logger.info('Outbox swept', { ...(await sweepOutbox(until, deps)) })
})
