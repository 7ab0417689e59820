import { type GatewayProcessOptions, startGatewayProcess } from './gateway-process.ts'
import type { Kept } from './keep-running.ts'
import { createRelay } from './relay.ts'
import type { TemplateGateway } from './template-gateway.ts'

/** The way to previews on this machine. */
export interface Previews {
  /** Of every preview's address, `http://<label>.<domain>:<port>`. */
  readonly port: number
  /** Starts the gateway; until then connections wait. Rejects when it does not come to listen. */
  start(options: Omit<GatewayProcessOptions, 'gateway'> & { readonly gateway: TemplateGateway }): Promise<void>
  close(): Promise<void>
}

/** Takes the port that previews are reached by; 0 takes a free one. Rejects, in words, when it is taken. */
export async function openPreviews(port: number): Promise<Previews> {
  const running = Promise.withResolvers<Kept>()
  let gateway: Kept | undefined
  running.promise.catch(() => {})
  const relay = await createRelay(port, async () => (await running.promise).port()).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') throw error
      throw new Error(
        `Port ${port} of previews is taken; is another control plane running? PREVIEW_PORT chooses another one.`,
      )
    },
  )
  return {
    port: relay.port,
    async start(options) {
      gateway = await startGatewayProcess(options)
      running.resolve(gateway)
    },
    async close() {
      running.reject(new Error('The runtime ends'))
      await relay.close()
      await gateway?.stop()
    },
  }
}
