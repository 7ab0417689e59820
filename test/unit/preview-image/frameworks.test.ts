/**
 * Projects as the frameworks' own generators make them, installed from the package registry, visited as the gateway visits them: at the
 * task's address, with `localhost` as host and origin.
 */
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { cleanUp, makeDirectory, type RunningPreview, startPreview } from './preview-fixture.ts'

afterEach(cleanUp)

/** Installing over the network, next to other test files. */
const PATIENCE_MS = 170_000

/** Runs a generator with npm; resolves with the directory it made. */
async function generate(name: string, ...args: string[]): Promise<string> {
  const directory = await makeDirectory()
  await promisify(execFile)('npm', ['exec', '--yes', '--', name, 'app', ...args], {
    cwd: directory,
    env: { ...process.env, CI: '1', NEXT_TELEMETRY_DISABLED: '1' },
  })
  return path.join(directory, 'app')
}

const headersOf = ({ port }: RunningPreview) => ({
  host: `localhost:${port}`,
  origin: `http://localhost:${port}`,
  'x-forwarded-host': 'workspace-label.preview.example',
  'x-forwarded-proto': 'https',
})

function visit(preview: RunningPreview, target: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    get(
      { host: '127.0.0.1', port: preview.port, path: target, headers: { ...headersOf(preview), accept: 'text/html' } },
      (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (piece) => {
          body += piece
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      },
    ).on('error', reject)
  })
}

/** The hot-reload socket as a page of the preview opens it. */
async function hotReload(preview: RunningPreview, target: string, protocols: string[] = []) {
  const socket = new WebSocket(`ws://127.0.0.1:${preview.port}${target}`, protocols, { headers: headersOf(preview) })
  const messages: string[] = []
  const waiting: (() => void)[] = []
  socket.on('message', (data) => {
    messages.push(String(data))
    for (const look of waiting.splice(0)) look()
  })
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  return {
    async until(pattern: RegExp): Promise<string> {
      for (;;) {
        const found = messages.find((message) => pattern.test(message))
        if (found !== undefined) return found
        await new Promise<void>((resolve) => waiting.push(resolve))
      }
    },
    close: () => socket.terminate(),
  }
}

async function edit(preview: RunningPreview, file: string, from: string, to: string): Promise<void> {
  const place = path.join(preview.workspace, file)
  const text = await readFile(place, 'utf8')
  expect(text).toContain(from)
  await writeFile(place, text.replaceAll(from, to))
}

test('Vite with React and TypeScript', { timeout: PATIENCE_MS }, async () => {
  const app = await generate('create-vite@9.3.0', '--template', 'react-ts', '--no-interactive')
  const preview = await startPreview(undefined, { from: app })
  preview.plane.patienceMs = PATIENCE_MS
  expect(await preview.phase('ready')).toMatchObject({
    projectType: 'vite',
    command: `vite --host 127.0.0.1 --port ${preview.port} --strictPort`,
  })
  expect((await visit(preview, '/')).body).toContain('<div id="root">')
  // A client-side route.
  expect((await visit(preview, '/some/route')).body).toContain('<div id="root">')
  expect((await visit(preview, '/favicon.svg')).body).toContain('<svg')
  expect((await visit(preview, '/src/App.tsx')).body).toContain('Get started')
  const token = /const wsToken = "([^"]+)"/.exec((await visit(preview, '/@vite/client')).body)?.[1]
  const socket = await hotReload(preview, `/?token=${token}`, ['vite-hmr'])
  await edit(preview, 'src/App.tsx', 'Get started', 'Seen without a reload')
  expect(await socket.until(/"type":"update"/)).toContain('/src/App.tsx')
  expect((await visit(preview, '/src/App.tsx')).body).toContain('Seen without a reload')
  socket.close()
})

test('Next.js with TypeScript', { timeout: PATIENCE_MS }, async () => {
  const flags = [
    '--ts',
    '--app',
    '--no-eslint',
    '--no-tailwind',
    '--no-src-dir',
    '--skip-install',
    '--disable-git',
    '--yes',
  ]
  const app = await generate('create-next-app@16.4.3', ...flags)
  const preview = await startPreview(undefined, { from: app })
  preview.plane.patienceMs = PATIENCE_MS
  expect(await preview.phase('ready')).toMatchObject({
    projectType: 'next',
    command: `next dev -H 127.0.0.1 -p ${preview.port}`,
  })
  expect((await visit(preview, '/')).body).toContain('To get started')
  expect((await visit(preview, '/next.svg')).body).toContain('<svg')
  const socket = await hotReload(preview, '/_next/hmr?id=test')
  await edit(preview, 'app/page.tsx', 'To get started', 'Seen without a reload')
  await socket.until(/serverComponentChanges/)
  expect((await visit(preview, '/')).body).toContain('Seen without a reload')
  socket.close()
})
