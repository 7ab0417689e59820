import type { AddressInfo } from 'node:net'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** Ports of this machine's loopback that containers of a network may reach, at the network's gateway. */
export interface HostRelays {
  /**
   * A text in which every `127.0.0.1:<port>` and `localhost:<port>` is an address that containers reach, for which a relay is
   * started when there is none. Nothing else on loopback is within their reach.
   */
  reach(text: string): Promise<string>
  close(): Promise<void>
}

const LOOPBACK = /\b(?:127\.0\.0\.1|localhost):(\d{1,5})\b/g

/** Relays from the gateway's address of a container network. */
export function createHostRelays(gateway: string): HostRelays {
  const relays = new Map<number, Promise<{ server: Server; port: number }>>()
  const sockets = new Set<Socket>()

  function track(socket: Socket): void {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  }

  function join(one: Socket, other: Socket): void {
    one.pipe(other)
    // A connection that breaks on one side ends on the other; who used it sees that.
    one.on('error', () => other.destroy())
    one.once('close', () => other.destroy())
  }

  async function relay(target: number): Promise<{ server: Server; port: number }> {
    const server = createServer({ noDelay: true }, (inbound) => {
      const outbound = connect({ port: target, host: '127.0.0.1', noDelay: true })
      for (const socket of [inbound, outbound]) track(socket)
      join(inbound, outbound)
      join(outbound, inbound)
    })
    await new Promise<void>((resolve, reject) => {
      server.on('error', reject)
      server.listen(0, gateway, resolve)
    })
    return { server, port: (server.address() as AddressInfo).port }
  }

  return {
    async reach(text) {
      const ports = new Set([...text.matchAll(LOOPBACK)].map(([, port]) => Number(port)))
      const reached = new Map<number, number>()
      for (const port of ports) {
        const known = relays.get(port) ?? relay(port)
        relays.set(port, known)
        reached.set(port, (await known).port)
      }
      return text.replace(LOOPBACK, (_, port: string) => `${gateway}:${reached.get(Number(port))}`)
    },
    async close() {
      const open = await Promise.all(relays.values())
      relays.clear()
      for (const socket of sockets) socket.destroy()
      await Promise.all(open.map(({ server }) => new Promise((resolve) => server.close(resolve))))
    },
  }
}
