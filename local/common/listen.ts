import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * How long the AWS-shaped servers keep an idle connection: longer than a frozen execution environment is kept, which
 * would find its connection closed, and its next call lost, when it wakes.
 */
export const KEEP_ALIVE_MS = 10 * 60_000

/** Starts listening and resolves with the server's own URL; port 0 takes a free one. Rejects when the port is taken. */
export function listen(server: Server, port = 0, host = '127.0.0.1'): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve(`http://${host}:${(server.address() as AddressInfo).port}`)
    })
  })
}

/**
 * Stops taking connections, lets the requests under way end for at most `graceMs`, then cuts what is left.
 * Idle keep-alive connections are closed at once.
 */
export function closeServer(server: Server, graceMs = 2_000): Promise<void> {
  return new Promise((resolve, reject) => {
    const cut = setTimeout(() => server.closeAllConnections(), graceMs)
    server.close((error) => {
      clearTimeout(cut)
      if (error && (error as NodeJS.ErrnoException).code !== 'ERR_SERVER_NOT_RUNNING') reject(error)
      else resolve()
    })
    server.closeIdleConnections()
  })
}
