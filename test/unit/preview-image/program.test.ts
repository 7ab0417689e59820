import { rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { cleanUp, startPreview, untilServed, writeTree } from './preview-fixture.ts'

afterEach(cleanUp)

const SERVER = `
const http = require('http')
http.createServer((q, s) => s.end('hello 1 ' + q.url)).listen(process.env.PORT, process.env.HOST)
console.log('listening')
`

test('runs a plain Node project, starts it anew when a source changes, ends it with code 0', async () => {
  const preview = await startPreview({ 'package.json': '{"main":"server.js"}', 'server.js': SERVER })
  const ready = await preview.phase('ready')
  expect(ready).toMatchObject({
    projectType: 'node',
    command: 'node server.js',
    reason: 'package.json names server.js as its main file',
  })
  expect(await (await fetch(`${preview.url}/x?y=1`)).text()).toBe('hello 1 /x?y=1')
  await preview.plane.until(() => preview.plane.health.some(({ status }) => status === 'healthy'))
  await preview.plane.until(() => preview.plane.text.includes('listening\r\n'))
  await writeFile(path.join(preview.workspace, 'server.js'), SERVER.replace('hello 1', 'hello 2'))
  await preview.phase('ready')
  expect(await (await fetch(preview.url)).text()).toBe('hello 2 /')
  preview.program.stop()
  expect(await preview.code).toBe(0)
  expect(preview.plane.exit).toMatchObject({ exitCode: 0 })
  await expect(fetch(preview.url)).rejects.toThrow()
  expect(preview.plane.violations).toEqual([])
})

test('waits for the working tree', async () => {
  const preview = await startPreview(undefined)
  expect(await preview.phase('mirroring')).toMatchObject({ phase: 'mirroring' })
  await writeTree(preview.workspace, { 'index.html': '<body>late</body>' })
  expect(await preview.phase('ready')).toMatchObject({ projectType: 'static' })
  expect(await (await fetch(preview.url)).text()).toMatch(/^<body>late<script>/)
})

test('an empty project shows what was looked for, and the project as soon as there is one', async () => {
  const preview = await startPreview({ 'README.md': '# x' })
  expect(await preview.phase('ready')).toMatchObject({ projectType: 'empty' })
  const page = await (await fetch(`${preview.url}/any/path`)).text()
  expect(page).toContain('Nothing to preview yet')
  expect(page).toContain('manage.py')
  await writeTree(preview.workspace, { 'index.html': '<p>here</p>' })
  expect(await preview.phase('ready')).toMatchObject({ projectType: 'static' })
  expect(await untilServed(preview.url, (body) => body.includes('here'))).toContain('<p>here</p>')
  await rm(path.join(preview.workspace, 'index.html'))
  expect(await preview.phase('ready')).toMatchObject({ projectType: 'empty' })
})
