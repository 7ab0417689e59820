import { createProcessBackend } from '../../../../local/ecs/process-backend.ts'
import { backendContract } from './backend-contract.ts'
import { folder } from './support.ts'

backendContract('processes', {
  image: 'node:1',
  async open(stateDir) {
    const directory = await folder()
    const images = (uri: string) => (uri === 'node:1' ? { directory, entryPoint: [] } : undefined)
    return createProcessBackend({ stateDir, images })
  },
})
