import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Health = { readonly status: 'healthy' | 'unhealthy'; readonly detail?: string }

export type StatusSource = {
  health(): Health
  /** Everything an operator may see; no secret. */
  status(): object
}

/**
 * `GET /health` (200 `{status:'ok'}`, or 503 with the reason in `why`) and `GET /status`. Resolves when it listens;
 * rejects when the port is taken.
 */
export function startStatusServer(source: StatusSource, port: number, host: string): Promise<Server> {
  const server = createServer((request, response) => {
    const answer = (code: number, body: object) => {
      response.writeHead(code, { 'content-type': 'application/json', 'cache-control': 'no-store' })
      response.end(request.method === 'HEAD' ? undefined : JSON.stringify(body))
    }
    const path = request.url?.split('?')[0]
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, { message: 'Only GET is allowed' })
    if (path === '/status') return answer(200, source.status())
    if (path !== '/health') return answer(404, { message: 'There are /health and /status' })
    const health = source.health()
    if (health.status === 'healthy') return answer(200, { status: 'ok' })
    return answer(503, { status: 'unhealthy', why: health.detail })
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve(server)
    })
  })
}

/** The port a server listens on; for servers started with port 0. */
export const portOf = (server: Server): number => (server.address() as AddressInfo).port
