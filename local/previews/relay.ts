import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A port of this machine behind which a program stands that may be replaced by another. */
export interface Relay {
  readonly port: number
  close(): Promise<void>
}

/** Connections that are passed on at once; more wait in the kernel. */
const MAX_CONNECTIONS = 10_000

/**
 * Passes TCP connections of 127.0.0.1:`port` on to the port that `target` gives: the template's load balancer, without its own headers.
 * A connection for which there is no target is cut. Rejects when the port is taken.
 */
export async function createRelay(port: number, target: () => Promise<number>): Promise<Relay> {
  const sockets = new Set<Socket>()
  const track = (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  }
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (inbound) => {
    track(inbound)
    inbound.once('error', () => inbound.destroy())
    target().then(
      (at) => {
        if (inbound.destroyed) return
        const outbound = connect({ port: at, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
        track(outbound)
        inbound.pipe(outbound).pipe(inbound)
        // A connection that breaks on one side ends on the other; who used it sees that.
        outbound.once('error', () => inbound.destroy())
        outbound.once('close', () => inbound.destroy())
        inbound.once('close', () => outbound.destroy())
      },
      () => inbound.destroy(),
    )
  })
  server.maxConnections = MAX_CONNECTIONS
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      resolve()
    })
  })
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
