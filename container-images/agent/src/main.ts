/** Entry point of the agent's container: variables in, exit code out. */
import { Agent } from './agent.ts'
import { EXIT } from './exit-codes.ts'
import { jsonLog } from './log.ts'
import { takeSettings } from './settings.ts'
import { startStatusServer } from './status-server.ts'

async function main(): Promise<number> {
  let log = jsonLog({ service: 'agent' })
  try {
    const settings = takeSettings(process.env)
    log = jsonLog({ service: 'agent', environment: settings.environment })
    const agent = new Agent({ settings, log })
    process.on('uncaughtException', (error) => {
      log('ERROR', 'The agent has a fault', { error: error.stack ?? error.message })
      process.exit(EXIT.internal)
    })
    const server = await startStatusServer(agent, settings.port, settings.host)
    // A second signal changes nothing: the end is under way and has a deadline.
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => agent.stop())
    const code = await agent.run()
    server.closeAllConnections()
    return code
  } catch (error) {
    log('ERROR', 'The agent could not start', { error: error instanceof Error ? error.message : String(error) })
    return EXIT.configuration
  }
}

// Sockets and timers that are still open must not keep a container that has ended.
process.exit(await main())
