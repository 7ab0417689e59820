/** The gateway's built image under a real engine: `node test/unit/preview-gateway/image-smoke.ts IMAGE`, with DOCKER_HOST naming the engine. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { issueTicket, newPreviewLabel, newTicketId } from '../../../shared/domain/previews/signatures.ts'
import { docker, eventually, inspect, limits, run, runTests, start, untilHealth } from '../common/image-engine.ts'
import { programEnv, startDirectoryTable } from './directory-table.ts'

const image = process.argv[2] ?? 'covibes-preview-gateway'
const SECRET = 'a secret of previews, as long as one has to be'
const DOMAIN = 'preview.localhost'
/** The engine's own health check asks this port. */
const HEALTH_PORT = 18_081

await runTests({
  'runs as uid 1000 under tini with a read-only root, lets a member in, ends with 0 at SIGTERM': async () => {
    const table = await startDirectoryTable()
    const task = createServer((_, response) => response.end('page'))
    await new Promise<void>((resolve) => task.listen(0, '127.0.0.1', resolve))
    const label = newPreviewLabel('main')
    await table.put(label, {
      teamId: 'team-1',
      branch: 'main',
      environmentId: 'preview-1',
      status: 'running',
      address: '127.0.0.1',
      port: (task.address() as AddressInfo).port,
      public: false,
    })
    const env = { ...programEnv(table.url, SECRET, 'http://localhost:3000', DOMAIN), HEALTH_PORT: String(HEALTH_PORT) }
    // Table and task listen on loopback only, so this container shares the machine's network.
    const id = await start(image, 'ws://unused', [
      ...limits({ cpu: 512, memory: 1024 }),
      '--network=host',
      ...Object.entries(env).map(([name, value]) => `--env=${name}=${value}`),
    ])
    const port = await eventually('listening', async () => /"port":(\d+)/.exec(await docker('logs', id))?.[1])
    assert.equal(await run(id, 'id -u; cat /proc/1/comm'), '1000\ntini')
    const ticket = issueTicket(
      {
        label,
        teamId: 'team-1',
        userId: 'ada',
        exp: Date.now() + 60_000,
        until: Date.now() + 60_000,
        id: newTicketId(),
      },
      SECRET,
    )
    // `*.localhost` may not resolve here: the container's own Node asks, with the host it wants.
    const script = `
      const { get } = require('node:http')
      const ask = (path, headers) => new Promise((resolve, reject) => get({ host: '127.0.0.1', port: ${port}, path, headers }, (answer) => {
        let body = ''; answer.on('data', (piece) => { body += piece }); answer.on('end', () => resolve({ ...answer.headers, body }))
      }).on('error', reject))
      const host = '${label}.${DOMAIN}'
      ask('/__covibes/enter/${ticket}/', { host })
        .then((entered) => ask('/', { host, cookie: entered['set-cookie'][0].split(';')[0] }))
        .then(({ body }) => console.log(body))`
    assert.equal(await docker('exec', id, 'node', '-e', script), 'page')
    await untilHealth(id, 'healthy')
    await docker('stop', '--time=30', id)
    assert.equal(await inspect(id, '{{.State.ExitCode}}'), '0')
    task.close()
    await table.close()
  },
})
