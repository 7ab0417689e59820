/** Entry point of the agent's container. */
import { runContainer } from '../../common/src/container.ts'
import { Agent } from './agent.ts'
import { takeSettings } from './settings.ts'

await runContainer('agent', takeSettings, (settings, log) => new Agent({ settings, log }))
