import { spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test } from 'vitest'
import { FakeControlPlane } from '../common/fake-control-plane.ts'
import { cleanUp, freePort, makeDirectory, writeTree } from './preview-fixture.ts'

afterEach(cleanUp)

const MAIN = fileURLToPath(new URL('../../../container-images/preview/src/main.ts', import.meta.url))

/** The image's entry point as the container would run it. */
async function startProcess(env: Record<string, string>) {
  const child = spawn(process.execPath, [MAIN], {
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text) => {
      output += text
    })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  return { child, ended, output: () => output }
}

test('the image’s program: serves, tells of itself on /status, ends with 0 at SIGTERM, logs no ticket', async () => {
  const root = await makeDirectory()
  await mkdir(path.join(root, 'home'))
  await writeTree(root, { 'shared/previews/staging/index.html': 'of staging' })
  const [port, statusPort] = [await freePort(), await freePort()]
  const plane = await FakeControlPlane.start({ preview: { branch: 'staging', port }, ticket: 'ticket-1234' })
  const { child, ended, output } = await startProcess({
    HOME: path.join(root, 'home'),
    HOST: '127.0.0.1',
    PORT: String(statusPort),
    COVIBES_ENVIRONMENT: 'team-1/record-1/1',
    COVIBES_LINK_TICKET: 'ticket-1234',
    COVIBES_LINK_URL: plane.url,
    COVIBES_SHARED: path.join(root, 'shared'),
    COVIBES_PREVIEW_DISK: path.join(root, 'disk'),
    COVIBES_PREVIEW_CACHE: path.join(root, 'cache'),
  })
  await plane.until(() => plane.previews.some(({ phase }) => phase === 'ready'))
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toContain('of staging')
  expect((await fetch(`http://127.0.0.1:${statusPort}/health`)).status).toBe(200)
  const status = await (await fetch(`http://127.0.0.1:${statusPort}/status`)).json()
  expect(status).toMatchObject({
    branch: 'staging',
    port,
    report: { phase: 'ready', projectType: 'static' },
    mirror: { entries: 1 },
  })
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
  expect(plane.exit).toMatchObject({ exitCode: 0 })
  expect(output()).not.toContain('ticket-1234')
  await plane.close()
})

test('variables that are missing or wrong are named', async () => {
  const { ended, output } = await startProcess({
    COVIBES_ENVIRONMENT: 'x',
    COVIBES_LINK_TICKET: 't',
    COVIBES_PREVIEW_DISK: 'relative',
  })
  expect(await ended).toBe(78)
  expect(output()).toMatch(/COVIBES_ENVIRONMENT.*COVIBES_LINK_URL.*COVIBES_PREVIEW_DISK/)
})
