/** The agent's built image under a real engine: `node test/unit/agent-image/image-smoke.ts IMAGE`, with DOCKER_HOST naming the engine. */
import assert from 'node:assert/strict'
import { createScriptedModel } from '../../../local/scripted-model/server.ts'
import { DEFAULT_TASK_SIZE, STOP_TIMEOUT_SECONDS } from '../../../shared/contracts/limits.ts'
import { FakeControlPlane, type Welcome } from '../common/fake-control-plane.ts'
import { docker, inspect, limits, run, runTests, start, untilHealth, withPlane } from '../common/image-engine.ts'

const image = process.argv[2] ?? 'covibes-agent'

const startAgent = (url: string, ...more: string[]) => start(image, url, [...limits(DEFAULT_TASK_SIZE.agent), ...more])
/** What workspace sync would do in the team's shared directory. */
const makeWorkspace = (id: string) => run(id, 'mkdir /workspaces/workspace')
const mock = (task: string): { welcome: Partial<Welcome> } => ({
  welcome: { agent: { program: 'mock', name: 'Ada', task } },
})

await runTests({
  'runs as uid 1000 under tini, writes only where it may, becomes healthy, ends in time at SIGTERM': () =>
    withPlane(mock('write notes/a.txt hello'), async (plane, url) => {
      const id = await startAgent(url)
      await plane.until(() => plane.text === "Waiting for the team's workspace…\r\n")
      await makeWorkspace(id)
      await plane.until(() => plane.text.endsWith('wrote notes/a.txt\r\nmock> '))
      const file = '/workspaces/workspace/notes/a.txt'
      assert.equal(await run(id, `stat -c %u:%g ${file}; cat ${file}`), '1000:1000\nhello')
      assert.equal(await run(id, 'id -u; cat /proc/1/comm'), '1000\ntini')
      await run(id, 'touch /tmp/x /home/node/x')
      await assert.rejects(run(id, 'touch /opt/covibes/x'), /Read-only file system/)
      await untilHealth(id, 'healthy')
      const before = performance.now()
      await docker('stop', `--time=${STOP_TIMEOUT_SECONDS}`, id)
      assert.ok(performance.now() - before < STOP_TIMEOUT_SECONDS * 1000)
      assert.equal(await inspect(id, '{{.State.ExitCode}}'), '143')
      await plane.until(() => plane.exit)
      assert.equal(plane.exit?.exitCode, 143)
    }),

  'carries the exit code of its program': () =>
    withPlane(mock('exit 3'), async (plane, url) => {
      const id = await startAgent(url)
      await makeWorkspace(id)
      assert.equal(await docker('wait', id), '3')
      assert.equal(plane.exit?.exitCode, 3)
    }),

  'ends with 137 when its program takes more memory than the task has': () =>
    withPlane(mock('memory 4096'), async (plane, url) => {
      const id = await startAgent(url)
      await makeWorkspace(id)
      assert.equal(await docker('wait', id), '137')
      assert.equal(await inspect(id, '{{.State.OOMKilled}}'), 'true')
      assert.deepEqual([plane.exit?.exitCode, plane.exit?.signal], [137, 'SIGKILL'])
    }),

  'ends with 77 when it is refused': () =>
    withPlane({}, async (_, url) => {
      assert.equal(await docker('wait', await startAgent(url, '--env=COVIBES_LINK_TICKET=other')), '77')
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
    const id = await startAgent(plane.url, '--network=host', '--env=PORT=0')
    await makeWorkspace(id)
    assert.equal(await docker('wait', id), '0', plane.text)
    assert.match(plane.text, /Ran cat a\.txt && id -u:\r\nhi\r\n1000\r\n/)
    await plane.close()
    await model.close()
  },
})
