import { execFileSync } from 'node:child_process'
import { symlink, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { OutputLog } from '../../../container-images/preview/src/output-log.ts'
import { CHANGES_PATH } from '../../../container-images/preview/src/serve/pages.ts'
import { StaticServer } from '../../../container-images/preview/src/serve/static-server.ts'
import type { LinkUp } from '../../../shared/contracts/link.ts'
import { cleanUp, freePort, makeDirectory, startPreview, type Tree, writeTree } from './preview-fixture.ts'

const servers: StaticServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
  await cleanUp()
})

async function serve(tree: Tree) {
  const directory = await makeDirectory()
  await writeTree(directory, tree)
  const port = await freePort()
  const server = await StaticServer.start({ directory }, '127.0.0.1', port)
  servers.push(server)
  const url = `http://127.0.0.1:${port}`
  /** Sends the path as it is; `fetch` would tidy it up. */
  const raw = (target: string) =>
    new Promise<{ status: number; body: string }>((resolve, reject) => {
      request({ host: '127.0.0.1', port, path: target, agent: false }, (response) => {
        let body = ''
        response.on('data', (piece) => {
          body += piece
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      })
        .on('error', reject)
        .end()
    })
  return { directory, server, url, raw }
}

test('a site of files: types, directories, names without .html, its own 404 page, revalidation', async () => {
  const { url } = await serve({
    'index.html': '<html><BODY>home</BODY></html>',
    'about.html': 'about',
    'docs/index.html': 'docs',
    'style.css': 'a{}',
    'a b.js': '1',
    'empty.txt': '',
    '.env': 'SECRET',
    '.well-known/x.txt': 'known',
    '404.html': 'own 404',
  })
  const get = async (target: string, init?: RequestInit) => {
    const response = await fetch(url + target, { redirect: 'manual', ...init })
    return {
      status: response.status,
      type: response.headers.get('content-type'),
      text: await response.text(),
      headers: response.headers,
    }
  }
  expect((await get('/')).text).toMatch(/^<html><BODY>home<script>.*<\/script><\/BODY><\/html>$/)
  expect(await get('/about')).toMatchObject({ status: 200, type: 'text/html; charset=utf-8' })
  expect((await get('/docs')).headers.get('location')).toBe('/docs/')
  expect((await get('/docs/?x=1')).text).toMatch(/^docs/)
  expect(await get('/style.css')).toMatchObject({ type: 'text/css; charset=utf-8', text: 'a{}' })
  expect((await get('/a%20b.js')).text).toBe('1')
  expect(await get('/empty.txt')).toMatchObject({ status: 200, text: '' })
  expect((await get('/.well-known/x.txt')).text).toBe('known')
  expect(await get('/.env')).toMatchObject({ status: 404, text: expect.stringMatching(/^own 404/) })
  const tag = (await get('/style.css')).headers.get('etag') ?? ''
  expect((await get('/style.css', { headers: { 'if-none-match': tag } })).status).toBe(304)
  expect(await get('/style.css', { method: 'HEAD' })).toMatchObject({ status: 200, text: '' })
  expect((await get('/', { method: 'POST', body: 'x' })).status).toBe(405)
})

test('nothing outside the site is served', async () => {
  const { directory, raw } = await serve({ 'site/index.html': 'in', 'a.txt': 'a' })
  const outside = await makeDirectory()
  await writeTree(outside, { 'secret.txt': 'SECRET' })
  await symlink(outside, path.join(directory, 'out'))
  await symlink('a.txt', path.join(directory, 'in.txt'))
  const name = path.basename(outside)
  for (const target of [
    `/../${name}/secret.txt`,
    `/%2e%2e/${name}/secret.txt`,
    `/..%2f${name}/secret.txt`,
    '/out/secret.txt',
    '//etc/passwd',
    '/a.txt%00.html',
    '/%ff',
    `/${'x'.repeat(3000)}`,
    '/<script>',
  ]) {
    const { status, body } = await raw(target)
    expect([target, status]).toEqual([target, 404])
    expect(body).not.toContain('SECRET')
    expect(body).not.toContain('<script>/')
  }
  expect(await raw('/in.txt')).toEqual({ status: 200, body: 'a' })
})

test('open pages are told when a file changes', async () => {
  const preview = await startPreview({ 'index.html': '<p>1', 'a.css': '' })
  await preview.phase('ready')
  const response = await fetch(preview.url + CHANGES_PATH)
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let heard = ''
  await writeFile(path.join(preview.workspace, 'a.css'), 'p{}')
  while (!heard.includes('event: change')) heard += (await reader?.read())?.value
  expect(await (await fetch(`${preview.url}/a.css`)).text()).toBe('p{}')
  await reader?.cancel()
})

/** An output log on a link that is up, with everything acknowledged at once unless `hold`. */
function makeLog({ hold = false } = {}) {
  const sent: Extract<LinkUp, { type: 'output' }>[] = []
  const log = new OutputLog(
    {
      send: (message) => {
        if (message.type === 'output') sent.push(message)
        return true
      },
      stalled: () => undefined,
      progressed: () => undefined,
    },
    60_000,
  )
  const acknowledge = () => {
    for (let last = -1; last !== log.buffer.base; ) {
      last = log.buffer.base
      const { offset, data } = sent.at(-1) ?? { offset: 0, data: '' }
      log.acknowledged(offset + Buffer.byteLength(data))
    }
  }
  log.linkUp(0)
  const take = (text: string | Buffer) => {
    log.take(Buffer.from(text))
    if (!hold) acknowledge()
  }
  return { log, take, acknowledge, text: () => sent.map(({ data }) => data).join('') }
}

test("output gets a terminal's line ends, and the last lines of it are kept without colours", () => {
  const { log, take, text } = makeLog()
  take('one\ntwo\r')
  take('\nthree\n')
  expect(text()).toBe('one\r\ntwo\r\nthree\r\n')
  take('\u001b[31mred\u001b[0m\n10%\r50%\r100%\nhal')
  take('f of a caf')
  take(Buffer.from('é').subarray(0, 1))
  take(Buffer.from('é').subarray(1))
  expect(log.lastLines).toEqual(['one', 'two', 'three', 'red', '100%', 'half of a café'])
  for (let i = 0; i < 100; i++) take(`line ${i}\n`)
  expect(log.lastLines).toHaveLength(40)
  take(`${'x'.repeat(100_000)}\n`)
  expect(log.lastLines.at(-1)).toHaveLength(500)
})

test('a project never waits for the log: what it writes beyond its bound is left out, and said so', () => {
  const { log, take, acknowledge, text } = makeLog({ hold: true })
  const line = `${'x'.repeat(1023)}\n`
  for (let i = 0; i < 8 * 1024; i++) take(line)
  expect(log.buffer.pending).toBeLessThan(4 * 1024 * 1024)
  const left = log.leftOutBytes
  expect(left).toBeGreaterThan(4 * 1024 * 1024)
  acknowledge()
  take('again\n')
  acknowledge()
  expect(text()).toMatch(new RegExp(`\\r\\n\\[preview\\] ${left} bytes of output were left out\\r\\nagain\\r\\n$`))
})

test('a lost link loses no output and tells the newest report again', async () => {
  const preview = await startPreview(
    {
      'package.json': '{"scripts":{"dev":"node a.js"}}',
      'a.js': `require('http').createServer((q, s) => { console.log('asked ' + q.url); s.end() }).listen(process.env.PORT, process.env.HOST)`,
    },
    { plane: { output: (_, count) => (count % 3 === 1 ? 'cutAfter' : count % 3 === 2 ? 'cutBefore' : 'store') } },
  )
  await preview.phase('ready')
  for (let i = 0; i < 20; i++) await fetch(`${preview.url}/${i}`)
  await preview.plane.until(() => preview.plane.text.includes('asked /19\r\n'))
  const asked = preview.plane.text.match(/asked \/\d+/g)
  expect(asked).toEqual(Array.from({ length: 20 }, (_, i) => `asked /${i}`))
  const before = preview.plane.previews.length
  preview.plane.cut()
  await preview.plane.until(() => preview.plane.previews.length > before)
  expect(preview.plane.previews.at(-1)).toMatchObject({ phase: 'ready', projectType: 'node' })
  expect(preview.plane.violations).toEqual([])
})

test('the control plane can refuse and dismiss it', async () => {
  const refused = await startPreview({ 'index.html': '' }, { plane: { refuse: () => 403 } })
  expect(await refused.code).toBe(77)
  const dismissed = await startPreview({ 'index.html': '' })
  await dismissed.phase('ready')
  dismissed.plane.post({ type: 'dismissed', reason: 'not wanted' })
  expect(await dismissed.code).toBe(77)
  await expect(fetch(dismissed.url)).rejects.toThrow()
})

test("pyproject.toml's dependencies, PEP 621's and Poetry's, become pip's", async () => {
  const directory = await makeDirectory()
  const script = fileURLToPath(new URL('../../../container-images/preview/src/run/pyproject.py', import.meta.url))
  const requirements = async (toml: string) => {
    await writeFile(path.join(directory, 'pyproject.toml'), toml)
    return execFileSync('python3', [script, 'pyproject.toml'], { cwd: directory, encoding: 'utf8' }).trim().split('\n')
  }
  expect(await requirements('[project]\ndependencies = ["flask>=3", "x[y]; python_version < \'4\'"]')).toEqual([
    'flask>=3',
    "x[y]; python_version < '4'",
  ])
  const poetry = `[tool.poetry.dependencies]
python = "^3.11"
a = "^1.2.3"
b = "^0.2.3"
c = "~1.2"
d = "1.5"
e = "*"
f = ">=1,<2"
g = { version = "^2", extras = ["x"] }
h = { path = "../h" }
i = "~=1.4"
`
  expect(await requirements(poetry)).toEqual([
    'a>=1.2.3,<2',
    'b>=0.2.3,<0.3',
    'c>=1.2,<1.3',
    'd==1.5',
    'e',
    'f>=1,<2',
    'g[x]>=2,<3',
    'i~=1.4',
  ])
})
