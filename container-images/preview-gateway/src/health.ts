import { createServer, type Server } from 'node:http'

/** `GET /health`: 200 while requests are welcome, 503 once the gateway drains. Resolves when it listens. */
export function startHealthServer(isDraining: () => boolean, port: number, host: string): Promise<Server> {
  const server = createServer((request, response) => {
    const known = request.url === '/health'
    const status = !known ? 404 : isDraining() ? 503 : 200
    response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    response.end(JSON.stringify({ status: !known ? 'unknown path' : isDraining() ? 'draining' : 'ok' }))
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve(server)
    })
  })
}
