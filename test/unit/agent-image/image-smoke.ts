/**
 * The built image under a real engine: `node test/unit/agent-image/image-smoke.ts IMAGE`, with DOCKER_HOST naming the engine. The
 * control plane is a fake on this machine, which containers on the bridge reach by the bridge's own address. Ends with 1 at
 * the first thing that is not as it should be.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { createScriptedModel } from '../../../local/scripted-model/server.ts'
import { STOP_TIMEOUT_SECONDS } from '../../../shared/contracts/limits.ts'
import { FakeControlPlane, type Welcome } from '../common/fake-control-plane.ts'

const DOCKER = process.env.DOCKER ?? 'docker'
const image = process.argv[2] ?? 'covibes-agent'
const containers: string[] = []

async function docker(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(DOCKER, args, { timeout: 120_000 })
  return stdout.trim()
}

/** Starts a container as Fargate would: as the image's user, without rights, its root file system read-only. */
async function start(url: string, ...more: string[]): Promise<string> {
  const id = await docker(
    'run',
    '--detach',
    '--read-only',
    '--cap-drop=ALL',
    '--security-opt=no-new-privileges',
    '--health-interval=1s',
    '--env=COVIBES_ENVIRONMENT=team-1/record-1/1',
    '--env=COVIBES_LINK_TICKET=ticket',
    `--env=COVIBES_LINK_URL=${url}`,
    ...more,
    image,
  )
  containers.push(id)
  return id
}

const inspect = (id: string, format: string) => docker('inspect', `--format=${format}`, id)
const mock = (task: string): Partial<Welcome> => ({ agent: { program: 'mock', name: 'Ada', task } })

/** An engine has no way to wait for health, so it is asked, for half a minute at most. */
async function waitHealthy(id: string): Promise<void> {
  for (let tries = 0; tries < 150; tries++) {
    if ((await inspect(id, '{{.State.Health.Status}}')) === 'healthy') return
    await delay(200)
  }
  assert.fail(`not healthy: ${await inspect(id, '{{json .State}}')}`)
}

async function withPlane(welcome: Partial<Welcome>, test: (plane: FakeControlPlane, url: string) => Promise<void>) {
  const plane = await FakeControlPlane.start({ host: '0.0.0.0', welcome })
  const bridge = await docker('network', 'inspect', 'bridge', '--format={{(index .IPAM.Config 0).Gateway}}')
  await test(plane, `ws://${bridge}:${plane.port}`)
  assert.deepEqual(plane.violations, [])
  await plane.close()
}

const tests: Record<string, () => Promise<void>> = {
  'runs as uid 1000 under tini, writes only where it may, becomes healthy, ends in time at SIGTERM': () =>
    withPlane(mock('write notes/a.txt hello'), async (plane, url) => {
      const id = await start(url)
      await plane.until(() => plane.text.endsWith('wrote notes/a.txt\r\nmock> '))
      const run = (command: string) => docker('exec', id, 'sh', '-c', command)
      assert.equal(await run('stat -c %u:%g /workspace/notes/a.txt; cat /workspace/notes/a.txt'), '1000:1000\nhello')
      assert.equal(await run('id -u; cat /proc/1/comm'), '1000\ntini')
      assert.equal(await run('cd /workspace && git symbolic-ref HEAD'), 'refs/heads/main')
      await run('touch /tmp/x /home/node/x')
      await assert.rejects(run('touch /opt/covibes/x'), /Read-only file system/)
      await waitHealthy(id)
      const before = performance.now()
      await docker('stop', `--time=${STOP_TIMEOUT_SECONDS}`, id)
      assert.ok(performance.now() - before < STOP_TIMEOUT_SECONDS * 1000)
      assert.equal(await inspect(id, '{{.State.ExitCode}}'), '143')
      await plane.until(() => plane.exit)
      assert.equal(plane.exit?.exitCode, 143)
    }),

  'carries the exit code of its program': () =>
    withPlane(mock('exit 3'), async (plane, url) => {
      assert.equal(await docker('wait', await start(url)), '3')
      assert.equal(plane.exit?.exitCode, 3)
    }),

  'ends with 77 when it is refused': () =>
    withPlane({}, async (_, url) => {
      assert.equal(await docker('wait', await start(url, '--env=COVIBES_LINK_TICKET=other')), '77')
    }),

  'holds the real claude CLI, which works with a read-only root': async () => {
    const model = await createScriptedModel()
    const plane = await FakeControlPlane.start({
      welcome: {
        agent: { program: 'claude', name: 'Ada', task: 'write a.txt containing hi then run cat a.txt && id -u' },
        model: { apiKey: 'sk-test-0123456789', baseUrl: model.url },
      },
    })
    // The model listens on loopback only, so this container shares the machine's network.
    const id = await start(plane.url, '--network=host', '--env=PORT=0')
    assert.equal(await docker('wait', id), '0', plane.text)
    assert.match(plane.text, /Ran cat a\.txt && id -u:\r\nhi\r\n1000\r\n/)
    await plane.close()
    await model.close()
  },
}

try {
  for (const [name, test] of Object.entries(tests)) {
    await test()
    process.stdout.write(`ok: ${name}\n`)
  }
} catch (error) {
  process.exitCode = 1
  process.stderr.write(`FAILED: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  for (const id of containers) process.stderr.write(`${id.slice(0, 12)}: ${await docker('logs', '--tail=20', id)}\n`)
} finally {
  if (containers.length > 0) await docker('rm', '--force', '--volumes', ...containers)
}
process.exit()
