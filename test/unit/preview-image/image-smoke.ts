/** A preview's built image under a real engine: `node test/unit/preview-image/image-smoke.ts IMAGE`, with DOCKER_HOST naming the engine. */
import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DEFAULT_TASK_SIZE, STOP_TIMEOUT_SECONDS } from '../../../shared/contracts/limits.ts'
import type { FakeControlPlane } from '../common/fake-control-plane.ts'
import {
  docker,
  eventually,
  inspect,
  limits,
  run,
  runTests,
  start,
  untilHealth,
  withPlane,
} from '../common/image-engine.ts'
import { type Tree, writeTree } from './preview-fixture.ts'

const image = process.argv[2] ?? 'covibes-preview'
const PORT = 5_000
const plane = { preview: { branch: 'workspace', port: PORT } } as const

/** Starts it with a working tree that it can only read. */
async function startPreview(
  url: string,
  tree: Tree,
): Promise<{ id: string; workspace: string; visit: (path: string) => Promise<string> }> {
  const shared = await mkdtemp(path.join(tmpdir(), 'covibes-image-'))
  await chmod(shared, 0o755)
  const workspace = path.join(shared, 'workspace')
  await writeTree(workspace, tree)
  const id = await start(image, url, [...limits(DEFAULT_TASK_SIZE.preview), `--volume=${shared}:/workspaces:ro`])
  const address = await inspect(id, '{{.NetworkSettings.IPAddress}}')
  const visit = async (at: string) => (await fetch(`http://${address}:${PORT}${at}`)).text()
  return { id, workspace, visit }
}

const ready = (fake: FakeControlPlane) =>
  eventually('ready', async () => {
    const last = fake.previews.at(-1)
    assert.notEqual(last?.phase, 'failed', last?.reason)
    return last?.phase === 'ready' && last
  })

const server = `require('http').createServer((q, s) => s.end('one ' + process.getuid())).listen(process.env.PORT, process.env.HOST)`

await runTests({
  'runs a project as uid 1000 under tini on a copy of the tree, is visited at its address, sees changes, ends with 0 at SIGTERM':
    () =>
      withPlane(plane, async (fake, url) => {
        const { id, workspace, visit } = await startPreview(url, {
          'package.json': '{"scripts":{"start":"node a.js"}}',
          'a.js': server,
        })
        assert.equal((await ready(fake)).projectType, 'node')
        assert.equal(await visit('/'), 'one 1000')
        assert.equal(await run(id, 'id -u; cat /proc/1/comm'), '1000\ntini')
        await untilHealth(id, 'healthy')
        await run(id, 'touch /preview/x /cache/x /tmp/x /home/node/x')
        for (const file of ['/workspaces/workspace/x', '/opt/covibes/x'])
          await assert.rejects(run(id, `touch ${file}`), /Read-only file system/)
        const source = path.join(workspace, 'a.js')
        await writeFile(source, (await readFile(source, 'utf8')).replace('one', 'two'))
        await eventually('the change', async () => (await visit('/').catch(() => '')) === 'two 1000')
        const before = performance.now()
        await docker('stop', `--time=${STOP_TIMEOUT_SECONDS}`, id)
        assert.ok(performance.now() - before < 10_000)
        assert.equal(await inspect(id, '{{.State.ExitCode}}'), '0')
        await fake.until(() => fake.exit)
        await rm(path.dirname(workspace), { recursive: true })
      }),

  'holds npm, python3 with venv, and git': () =>
    withPlane(plane, async (fake, url) => {
      const { id, workspace, visit } = await startPreview(url, {
        'covibes.json': JSON.stringify({
          install: 'npm --version && git --version && python3 -m venv .venv',
          command: 'python3 -m http.server --bind $HOST $PORT',
        }),
        'hello.txt': 'served by python',
      })
      await ready(fake)
      assert.equal(await visit('/hello.txt'), 'served by python')
      assert.match(await run(id, '/preview/tree/.venv/bin/python -m pip --version'), /^pip /)
      await rm(path.dirname(workspace), { recursive: true })
    }),

  'ends with 77 when it is refused': () =>
    withPlane(plane, async (_, url) => {
      assert.equal(await docker('wait', await start(image, url, ['--env=COVIBES_LINK_TICKET=other'])), '77')
    }),
})
