import { EXIT } from './exit-codes.ts'
import { jsonLog, type Log } from './log.ts'
import type { ContainerSettings } from './settings.ts'
import { type StatusSource, startStatusServer } from './status-server.ts'

/** What a container does, from its start to its exit code. */
export interface ContainerProgram extends StatusSource {
  /** Resolves with the code that the container ends with. To be called once. */
  run(): Promise<number>
  /** SIGTERM: end in time for ECS's own SIGKILL. */
  stop(): void
}

/**
 * The frame of a container: variables in, /health and /status meanwhile, exit code out. It ends the process, because sockets and
 * timers that are still open must not keep a container that has ended.
 */
export async function runContainer<Settings extends ContainerSettings>(
  service: string,
  takeSettings: (env: NodeJS.ProcessEnv) => Settings,
  create: (settings: Settings, log: Log) => ContainerProgram,
): Promise<never> {
  let log = jsonLog({ service })
  try {
    const settings = takeSettings(process.env)
    log = jsonLog({ service, environment: settings.environment })
    const program = create(settings, log)
    process.on('uncaughtException', (error) => {
      log('ERROR', 'The container has a fault', { error: error.stack ?? error.message })
      process.exit(EXIT.internal)
    })
    const server = await startStatusServer(program, settings.port, settings.host)
    // A second signal changes nothing: the end is under way and has a deadline.
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => program.stop())
    const code = await program.run()
    server.closeAllConnections()
    process.exit(code)
  } catch (error) {
    log('ERROR', 'The container could not start', { error: error instanceof Error ? error.message : String(error) })
    process.exit(EXIT.configuration)
  }
}
