/** Workspace sync's built image under a real engine: `node test/unit/workspace-sync/image-smoke.ts IMAGE`, with DOCKER_HOST naming the engine. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chown, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { CONTAINER_USER, DEFAULT_TASK_SIZE, SYNC_STOP_TIMEOUT_SECONDS } from '../../../shared/contracts/limits.ts'
import { GitServer } from '../../support/git-server.ts'
import { FakeControlPlane } from '../common/fake-control-plane.ts'
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

const image = process.argv[2] ?? 'covibes-workspace-sync'

const startSync = (url: string, ...more: string[]) => start(image, url, [...limits(DEFAULT_TASK_SIZE.sync), ...more])

/** A directory that belongs to the image's user, as an access point's root does. */
async function makeRoot(): Promise<string> {
  const root = await mkdtemp(path.join(tmpdir(), 'covibes-image-'))
  await chown(root, CONTAINER_USER.uid, CONTAINER_USER.gid)
  return root
}

/** A port that is free now: the container shares the machine's network, and its health check needs to know its port. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

await runTests({
  'clones, pushes what is written, becomes healthy, and pushes a last time at SIGTERM': async () => {
    const [root, repositories] = [await makeRoot(), await makeRoot()]
    const server = await GitServer.start({ root: repositories, credential: 'x-access-token:secret-1234' })
    const bare = server.create('x')
    const show = (file: string) =>
      execFileSync('git', ['-C', bare, 'show', `main:${file}`], { encoding: 'utf8', stdio: 'pipe' })
    const pushed = (file: string, text: string) =>
      eventually(`${file} at the remote`, async () => {
        try {
          return show(file) === text
        } catch {
          return false
        }
      })
    const credential = { kind: 'token', username: 'x-access-token', token: 'secret-1234' } as const
    const plane = await FakeControlPlane.start({
      sync: { repository: { url: server.url('x'), credential } },
      authors: [{ name: 'Ada', email: 'ada@agents.covibes.invalid' }],
    })
    // The repository is on this machine's loopback, so this container shares its network.
    const id = await startSync(plane.url, '--network=host', `--env=PORT=${await freePort()}`, `--volume=${root}:/team`)
    await plane.until(() => plane.reports.some(({ state }) => state === 'synced'), 'the first sync')
    assert.deepEqual(
      await plane.ask({ op: 'write', branch: 'main', path: 'notes/a.txt', content: 'by the editor\n' }),
      {
        ok: true,
        result: { message: 'File saved', path: 'notes/a.txt', size: 14 },
      },
    )
    await pushed('notes/a.txt', 'by the editor\n')
    const { uid, gid } = await stat(path.join(root, 'shared/workspace/notes/a.txt'))
    assert.deepEqual({ uid, gid }, CONTAINER_USER)
    assert.equal(await run(id, 'id -u; cat /proc/1/comm'), '1000\ntini')
    await run(id, 'touch /tmp/x /home/node/x')
    await assert.rejects(run(id, 'touch /opt/covibes/x'), /Read-only file system/)
    await untilHealth(id, 'healthy')
    await run(id, 'echo "by an agent" >/team/shared/workspace/b.txt')
    const before = performance.now()
    await docker('stop', `--time=${SYNC_STOP_TIMEOUT_SECONDS}`, id)
    assert.ok(performance.now() - before < SYNC_STOP_TIMEOUT_SECONDS * 1000)
    assert.equal(await inspect(id, '{{.State.ExitCode}}'), '0')
    assert.equal(show('b.txt'), 'by an agent\n')
    const message = execFileSync('git', ['-C', bare, 'log', '-1', '--format=%B', 'main'], { encoding: 'utf8' })
    assert.match(message, /Co-authored-by: Ada <ada@agents\.covibes\.invalid>/)
    await plane.until(() => plane.exit)
    assert.equal(plane.exit?.exitCode, 0)
    assert.deepEqual(plane.violations, [])
    assert.equal(spawnSync('grep', ['-rl', 'secret-1234', root], { encoding: 'utf8' }).stdout, '')
    await plane.close()
    await server.close()
    for (const directory of [root, repositories]) await rm(directory, { recursive: true })
  },

  'keeps the files of a team without a repository, in a volume of its own': () =>
    withPlane({ sync: {} }, async (plane, url) => {
      const id = await startSync(url)
      await plane.until(() => plane.reports.some(({ state }) => state === 'synced'), 'the first sync')
      assert.equal(await run(id, 'stat -c %u:%g /team /team/shared/workspace'), '1000:1000\n1000:1000')
      await docker('stop', `--time=${SYNC_STOP_TIMEOUT_SECONDS}`, id)
      assert.equal(await inspect(id, '{{.State.ExitCode}}'), '0')
    }),

  'is unhealthy when it does not answer any more': () =>
    withPlane({ sync: {} }, async (plane, url) => {
      const id = await startSync(url, '--health-start-period=1s', '--health-timeout=1s')
      await untilHealth(id, 'healthy')
      await run(id, 'kill -STOP $(cat /proc/1/task/1/children)')
      await untilHealth(id, 'unhealthy')
      await docker('kill', id)
      assert.equal(plane.exit, undefined)
    }),

  'erases the files of a team and ends with 0': () =>
    withPlane({ sync: { purpose: 'erase' } }, async (plane, url) => {
      const root = await makeRoot()
      execFileSync('sh', [
        '-c',
        `mkdir -p ${root}/shared/a/b && ln -s /etc ${root}/shared/etc && chown -R 1000:1000 ${root}`,
      ])
      assert.equal(await docker('wait', await startSync(url, `--volume=${root}:/team`)), '0')
      assert.deepEqual(await readdir(root), [])
      assert.equal(plane.exit?.reason, "The team's files were erased")
      await rm(root, { recursive: true })
    }),

  'ends with 137 when it takes more memory than the task has': async () => {
    const hog = 'for (const held = []; ; ) held.push(Buffer.alloc(1 << 20, 1))'
    const options = [...limits(DEFAULT_TASK_SIZE.sync), '--entrypoint=/usr/bin/tini']
    const id = await start(image, 'ws://127.0.0.1:1', options, '--', 'node', '-e', hog)
    assert.equal(await docker('wait', id), '137')
    assert.equal(await inspect(id, '{{.State.OOMKilled}}'), 'true')
  },
})
