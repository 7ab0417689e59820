import { functionEnv } from '../../shared/contracts/functions.ts'
import { WorkSchema } from '../../shared/contracts/work.ts'
import { startEnvironment, stopEnvironment } from '../../shared/domain/environments/operations.ts'
import { wakePreview } from '../../shared/domain/previews/operations.ts'
import { EVERYTHING } from '../../shared/domain/realtime/batch.ts'
import { deliver } from '../../shared/domain/realtime/deliver.ts'
import { closeUnauthenticated, openSocket } from '../../shared/domain/realtime/engine.ts'
import { tellShare } from '../../shared/domain/realtime/fan-out.ts'
import { stopSyncLast } from '../../shared/domain/teams/operations.ts'
import { removeTeamStep } from '../../shared/domain/teams/removal.ts'
import { queueHandler } from '../../shared/runtime/async-handlers.ts'
import { deliveryDeps } from '../../shared/runtime/realtime-deps.ts'
import { workDeps } from '../../shared/runtime/task-deps.ts'

const env = functionEnv('on-work', process.env)
const working = workDeps(env)
const delivering = deliveryDeps(env)

export const handler = queueHandler(WorkSchema, async (work, { receiveCount }) => {
  switch (work.kind) {
    case 'start-environment':
      return startEnvironment(work, working)
    case 'stop-environment':
      return stopEnvironment(work, working)
    case 'stop-team':
      return stopSyncLast(work, working)
    case 'remove-team':
      return removeTeamStep(work, working)
    case 'wake-preview':
      return wakePreview(work, working)
    case 'open-socket':
      return openSocket(work, delivering)
    case 'close-unauthenticated':
      return closeUnauthenticated(work, delivering)
    case 'tell':
      return tellShare(work, delivering, { isRepeated: receiveCount > 1 })
    case 'deliver':
      await deliver(work.sid, EVERYTHING, delivering, { retry: true })
  }
})
