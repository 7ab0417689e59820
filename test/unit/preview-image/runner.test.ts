import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { visitedAddress } from '../../../container-images/preview/src/run/reach.ts'
import { cleanUp, makeDirectory, startPreview, untilServed, writeTree } from './preview-fixture.ts'

afterEach(cleanUp)

/** A server that answers with an expression, on the port it is told. */
const server = (answer: string, listen = 'process.env.PORT, process.env.HOST') => `
require('http').createServer((q, s) => s.end(String(${answer}))).listen(${listen})
`
const project = (scripts: Record<string, string>, more: object = {}) => JSON.stringify({ scripts, ...more })
const covibes = (content: object) => ({ 'covibes.json': JSON.stringify(content) })

/** Whether it runs; one that has ended and that nobody has asked for its end does not. */
async function runs(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') X')
  return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))
}

test('a server that dies is started again, later each time; after five quick deaths a change of a file is waited for', async () => {
  const preview = await startPreview({
    'package.json': project({ dev: 'echo "Error: it broke" >&2; exit 3' }),
  })
  const failed = await preview.phase('failed')
  expect(failed.reason).toBe('The server ended 5 times soon after its start, last with code 3')
  expect(failed.lastLines?.at(-2)).toBe('Error: it broke')
  const waits = preview.plane.previews.map(({ reason }) => /again in ([\d.]+) s/.exec(reason ?? '')?.[1])
  expect(waits.filter((wait) => wait !== undefined)).toEqual(['0.01', '0.02', '0.04', '0.04'])
  await preview.plane.until(() => preview.plane.health.some(({ status }) => status === 'unhealthy'))
  await writeTree(preview.workspace, { 'package.json': project({ dev: 'node a.js' }), 'a.js': server('"up"') })
  await preview.phase('ready')
  expect(await untilServed(preview.url, (body) => body === 'up')).toBe('up')
})

test('a server that dies after it was up is started again', async () => {
  const preview = await startPreview({
    'package.json': project({ dev: 'node a.js' }),
    'a.js': `${server('process.pid')}; setTimeout(() => 0, 1e9)`,
  })
  await preview.phase('ready')
  const pid = Number(await (await fetch(preview.url)).text())
  process.kill(pid, 'SIGKILL')
  expect((await preview.phase('starting')).reason).toMatch(
    /^The server ended because it was killed, perhaps for lack of memory; it is started again/,
  )
  await preview.phase('ready')
  expect(Number(await untilServed(preview.url, (body) => /^\d+$/.test(body)))).not.toBe(pid)
})

test('installs, skips what is installed, installs again when the lockfile changes, and keeps it all over a restart', async () => {
  const tree = {
    'package.json': project({ dev: 'node a.js' }, { dependencies: { here: 'file:./here' } }),
    'package-lock.json': '',
    'here/package.json': '{"name":"here","version":"1.0.0"}',
    'here/index.js': 'module.exports = "installed"',
    'a.js': server('require("here")'),
  }
  const made = await makeDirectory()
  await writeTree(made, { ...tree, 'package-lock.json': '{}' })
  await rm(path.join(made, 'package-lock.json'))
  execFileSync('npm', ['install', '--package-lock-only', '--offline'], { cwd: made, stdio: 'pipe' })
  const preview = await startPreview({
    ...tree,
    'package-lock.json': await readFile(path.join(made, 'package-lock.json'), 'utf8'),
  })
  expect(await preview.phase('installing')).toMatchObject({ projectType: 'node' })
  await preview.phase('ready')
  expect(await (await fetch(preview.url)).text()).toBe('installed')
  expect(preview.plane.text).toContain('$ npm ci')

  // Its description is nobody's business.
  await writeFile(
    path.join(preview.workspace, 'package.json'),
    tree['package.json'].replace('{', '{"description":"x",'),
  )
  const lock = path.join(preview.workspace, 'package-lock.json')
  const installs = () => preview.plane.text.split('$ npm ').length - 1
  expect(installs()).toBe(1)
  await writeFile(lock, `${await readFile(lock, 'utf8')}\n`)
  await preview.phase('installing')
  await preview.phase('ready')
  expect(preview.plane.text).toContain('$ npm install')
  expect(installs()).toBe(2)

  preview.program.stop()
  await preview.code
  const next = await startPreview(undefined, { from: preview.workspace, settings: { disk: preview.settings.disk } })
  await next.phase('ready')
  expect(await (await fetch(next.url)).text()).toBe('installed')
  expect(next.plane.previews.map(({ phase }) => phase)).not.toContain('installing')
})

test("an install that fails is told with its output, and tried again when a manifest changes; the repository's own command is taken", async () => {
  const preview = await startPreview({
    ...covibes({ install: 'echo no such package; exit 4', command: 'node a.js', port: 'WEB_PORT' }),
    'a.js': server('"own"', 'process.env.WEB_PORT, process.env.HOST'),
  })
  const failed = await preview.phase('failed')
  expect(failed).toMatchObject({ projectType: 'custom', reason: 'echo no such package; exit 4 failed with code 4' })
  expect(failed.lastLines).toContain('no such package')
  await writeTree(preview.workspace, covibes({ install: 'touch made', command: 'node a.js', port: 'WEB_PORT' }))
  expect(await preview.phase('ready')).toMatchObject({ command: 'node a.js' })
  expect(await (await fetch(preview.url)).text()).toBe('own')
})

test('a package.json that is being written stops nothing; a covibes.json that is wrong is told when nothing runs', async () => {
  const preview = await startPreview({ 'package.json': project({ dev: 'node a.js' }), 'a.js': server('process.pid') })
  await preview.phase('ready')
  const pid = await (await fetch(preview.url)).text()
  await writeFile(path.join(preview.workspace, 'package.json'), '{"scripts": {')
  await preview.plane.until(() => preview.plane.text.includes('package.json cannot be read'))
  expect(preview.plane.text).toContain('what runs, goes on')
  expect(await (await fetch(preview.url)).text()).toBe(pid)
  await writeTree(preview.workspace, { 'package.json': project({ dev: 'node a.js' }, { description: 'written' }) })
  await preview.phase('ready')
  expect(await untilServed(preview.url, (body) => /^\d+$/.test(body))).not.toBe(pid)
  expect(preview.plane.previews.map(({ phase }) => phase)).not.toContain('failed')

  const wrong = await startPreview({ ...covibes({ comand: 'x' }) })
  expect((await wrong.phase('failed')).reason).toMatch(/^covibes\.json: comand: unknown/)
  await writeTree(wrong.workspace, { ...covibes({ command: 'node a.js' }), 'a.js': server('"right"') })
  await wrong.phase('ready')
})

test("a project's processes see neither ticket nor link nor ECS's addresses", async () => {
  process.env.ECS_CONTAINER_METADATA_URI_V4 = 'http://169.254.170.2/v4/secret'
  process.env.AWS_CONTAINER_CREDENTIALS_RELATIVE_URI = '/v2/credentials/secret'
  const preview = await startPreview(
    {
      ...covibes({ command: 'node a.js', install: 'env > installed-with', env: { MINE: 'yes' } }),
      'a.js': server('JSON.stringify(process.env)'),
    },
    { settings: { machine: { HTTPS_PROXY: 'http://proxy.example' } } },
  )
  await preview.phase('ready')
  delete process.env.ECS_CONTAINER_METADATA_URI_V4
  delete process.env.AWS_CONTAINER_CREDENTIALS_RELATIVE_URI
  const env = JSON.parse(await (await fetch(preview.url)).text()) as Record<string, string>
  expect(env).toMatchObject({
    PORT: String(preview.port),
    HOST: '127.0.0.1',
    HOME: preview.settings.home,
    MINE: 'yes',
    HTTPS_PROXY: 'http://proxy.example',
    NODE_ENV: 'development',
  })
  const installed = await readFile(path.join(preview.settings.disk, 'tree/installed-with'), 'utf8')
  for (const text of [JSON.stringify(env), installed])
    expect(text).not.toMatch(/ticket|ECS_|AWS_|COVIBES_(?!PYPROJECT|SCRATCH)|VITEST/)
})

test('a server that listens somewhere else is found there; of two, the one with a page, however late it comes', async () => {
  const web = `require('http').createServer((q, s) => { s.setHeader('content-type', 'text/html'); s.end('<p>page ' + q.headers.host) }).listen(0)`
  const preview = await startPreview(
    {
      'package.json': project({ dev: 'node api.js & node web.js' }),
      'api.js': server('"api"', '0, "127.0.0.1"'),
      'web.js': `setTimeout(() => { ${web} }, 1000)`,
    },
    { timings: { elsewhereAfterMs: 10, pageWaitMs: 60_000 } },
  )
  await preview.phase('ready')
  expect(await (await fetch(preview.url)).text()).toBe(`<p>page 127.0.0.1:${preview.port}`)
  expect(preview.plane.text).toMatch(/The server listens on port \d+ instead of \d+: visitors are passed on to there/)
})

test('an API alone is a preview, too', async () => {
  const preview = await startPreview({
    'package.json': project({ dev: 'node api.js' }),
    'api.js': server('"api"', '0'),
  })
  await preview.phase('ready')
  expect(await (await fetch(preview.url)).text()).toBe('api')
})

// A machine without a network has no other address than loopback.
test.skipIf(visitedAddress('0.0.0.0') === '127.0.0.1')(
  'a server on loopback only is reached at the address of the task',
  async () => {
    const preview = await startPreview(
      { 'package.json': project({ dev: 'node a.js' }), 'a.js': server('"loopback"', 'process.env.PORT, "127.0.0.1"') },
      { settings: { host: '0.0.0.0' } },
    )
    await preview.phase('ready')
    expect(await (await fetch(`http://${visitedAddress('0.0.0.0')}:${preview.port}`)).text()).toBe('loopback')
    expect(preview.plane.text).toContain('The server listens on 127.0.0.1 only')
  },
)

test('a server that listens nowhere is told of and left alone', async () => {
  const preview = await startPreview(
    { 'package.json': project({ dev: 'sleep 1000' }) },
    { timings: { silentMs: 200, elsewhereAfterMs: 20 } },
  )
  await preview.phase('starting')
  expect((await preview.phase('starting')).reason).toMatch(/^The server runs, but listens nowhere yet/)
})

test('stopping ends all that a project has started, also what does not want to end', async () => {
  const stubborn = `process.on('SIGTERM', () => {}); process.on('SIGHUP', () => {}); setInterval(() => {}, 1000); `
  const preview = await startPreview(
    {
      'package.json': project({ dev: 'node child.js & node a.js' }),
      'child.js': `${stubborn} require('fs').writeFileSync('child.pid', String(process.pid))`,
      'a.js': stubborn + server('process.pid'),
    },
    { timings: { graceMs: 200 } },
  )
  await preview.phase('ready')
  const pids = [Number(await (await fetch(preview.url)).text())]
  const childPid = path.join(preview.settings.disk, 'tree/child.pid')
  await untilServed(preview.url, () => existsSync(childPid))
  pids.push(Number(await readFile(childPid, 'utf8')))
  for (const pid of pids) expect(await runs(pid)).toBe(true)
  const before = performance.now()
  preview.program.stop()
  expect(await preview.code).toBe(0)
  expect(performance.now() - before).toBeLessThan(10_000)
  for (const pid of pids) expect(await runs(pid)).toBe(false)
  expect(preview.plane.exit).toMatchObject({ exitCode: 0, reason: 'The preview was stopped' })
})

test('stopping in the middle of an install ends it', async () => {
  const preview = await startPreview({ ...covibes({ install: 'echo $$ > pid; sleep 1000', command: 'x' }) })
  await preview.phase('installing')
  const file = path.join(preview.settings.disk, 'tree/pid')
  await preview.plane.until(() => preview.plane.text.includes('$ echo'))
  while (!existsSync(file) || (await readFile(file, 'utf8')) === '')
    await new Promise((resolve) => setTimeout(resolve, 20))
  const pid = Number(await readFile(file, 'utf8'))
  preview.program.stop()
  expect(await preview.code).toBe(0)
  expect(await runs(pid)).toBe(false)
})

test('a machine without python3 says so plainly', async () => {
  const bin = await makeDirectory()
  for (const name of ['sh', 'env']) await symlink(`/bin/${name}`, path.join(bin, name))
  await symlink(process.execPath, path.join(bin, 'node'))
  const preview = await startPreview({ 'manage.py': '' }, { settings: { path: bin } })
  expect((await preview.phase('failed')).reason).toBe(
    'This is a Python project, and there is no python3 on this machine: install Python 3 (with venv) to preview it',
  )
  await writeFile(path.join(bin, 'python3'), '#!/bin/sh\nexit 1\n', { mode: 0o755 })
  await writeTree(preview.workspace, { 'other.py': '' })
  expect((await preview.phase('failed')).reason).toMatch(/python3 has no venv on this machine/)
})

test('a port that is taken is told', async () => {
  const first = await startPreview({ 'index.html': 'first' })
  await first.phase('ready')
  const other = await startPreview(
    { 'package.json': project({ dev: 'node a.js' }), 'a.js': server('1') },
    { plane: { preview: { branch: 'workspace', port: first.port } } },
  )
  expect((await other.phase('failed')).reason).toMatch(/^Port \d+ is taken by another program/)
  const second = await startPreview(
    { 'index.html': 'second' },
    { plane: { preview: { branch: 'workspace', port: first.port } } },
  )
  expect((await second.phase('failed')).reason).toContain('EADDRINUSE')
})

test('the tree of another branch lies beside the workspace', async () => {
  const root = await makeDirectory()
  await mkdir(path.join(root, 'previews/main'), { recursive: true })
  await writeTree(path.join(root, 'previews/main'), { 'index.html': 'of main' })
  const preview = await startPreview(undefined, { settings: { shared: root } })
  await preview.phase('mirroring')
  const port = preview.port
  preview.program.stop()
  await preview.code
  const main = await startPreview(undefined, {
    settings: { shared: root },
    plane: { preview: { branch: 'main', port } },
  })
  await main.phase('ready')
  expect(await (await fetch(`http://127.0.0.1:${port}`)).text()).toContain('of main')
})
