import { backendContract } from '../ecs/backend-contract.ts'
import { describeWithEngine, underTest } from './engine.ts'

describeWithEngine('an engine of this machine', () => {
  backendContract('containers', underTest())
  backendContract('containers on this machine’s network', underTest({ network: 'host' }))
})
