/** Entry point of the preview gateway's container: variables in, previews out, until SIGTERM. */
import type { AddressInfo } from 'node:net'
import { AwsDirectory } from './aws-directory.ts'
import { messageOf } from './directory.ts'
import { startGateway } from './gateway.ts'
import { startHealthServer } from './health.ts'
import { jsonLog } from './log.ts'
import { takeSettings } from './settings.ts'

async function main(): Promise<void> {
  const settings = takeSettings(process.env)
  const gateway = await startGateway({
    directory: new AwsDirectory({ table: settings.PREVIEWS_TABLE, queueUrl: settings.WORK_QUEUE_URL }),
    secret: settings.PREVIEW_SECRET,
    domain: settings.PREVIEW_DOMAIN,
    scheme: settings.PREVIEW_SCHEME,
    appOrigins: settings.APP_ORIGIN,
    host: settings.HOST,
    port: settings.PORT,
    behindLoadBalancer: settings.BEHIND_LOAD_BALANCER,
  })
  const health = await startHealthServer(gateway.isDraining, settings.HEALTH_PORT, settings.HOST)
  jsonLog('INFO', 'The preview gateway listens', {
    port: gateway.port,
    healthPort: (health.address() as AddressInfo).port,
    domain: settings.PREVIEW_DOMAIN,
  })
  // One visitor's connection must not end everybody's. What is written here is a fault all the same.
  process.on('uncaughtException', (error) =>
    jsonLog('ERROR', 'The gateway has a fault', { error: error.stack ?? error.message }),
  )
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => {
      jsonLog('INFO', 'The preview gateway drains', { signal })
      void gateway.drain().finally(() => process.exit(0))
    })
}

main().catch((error: unknown) => {
  jsonLog('ERROR', 'The preview gateway could not start', { error: messageOf(error) })
  process.exitCode = 1
})
