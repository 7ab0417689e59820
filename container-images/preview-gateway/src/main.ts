/** Entry point of the preview gateway's container: variables in, previews out, until SIGTERM. */
import { portOf, startStatusServer } from '../../common/src/status-server.ts'
import { AwsDirectory } from './aws-directory.ts'
import { messageOf } from './directory.ts'
import { gatewayLog, startGateway } from './gateway.ts'
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
  const health = await startStatusServer(
    {
      health: () => (gateway.isDraining() ? { status: 'unhealthy', detail: 'It is ending' } : { status: 'healthy' }),
      status: () => ({ domain: settings.PREVIEW_DOMAIN, draining: gateway.isDraining() }),
    },
    settings.HEALTH_PORT,
    settings.HOST,
  )
  gatewayLog('INFO', 'The preview gateway listens', {
    port: gateway.port,
    healthPort: portOf(health),
    domain: settings.PREVIEW_DOMAIN,
  })
  // One visitor's connection must not end everybody's. What is written here is a fault all the same.
  process.on('uncaughtException', (error) =>
    gatewayLog('ERROR', 'The gateway has a fault', { error: error.stack ?? error.message }),
  )
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => {
      gatewayLog('INFO', 'The preview gateway drains', { signal })
      void gateway.drain().finally(() => process.exit(0))
    })
}

main().catch((error: unknown) => {
  gatewayLog('ERROR', 'The preview gateway could not start', { error: messageOf(error) })
  process.exitCode = 1
})
