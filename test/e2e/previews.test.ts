/** Repositories as the frameworks' generators make them, in the started product, seen in Chromium through the gateway. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import * as z from 'zod'
import { createScriptedModel } from '../../local/scripted-model/server.ts'
import { startBrowser } from '../support/browser.ts'
import { MODEL_PORT } from '../support/global-setup.ts'
import { previewsOf, readyPreview } from '../support/previews.ts'
import { type Product, startProduct, type TestMember } from '../support/product.ts'
import { Repository } from '../support/repository.ts'
import { withWorkspace } from '../support/workspaces.ts'

/** Installing from the package registry, beside other work. */
const INSTALLED = { timeout: 150_000, interval: 500 } as const
const HOT_MS = 90_000

let product: Product
let browser: Browser
let model: Awaited<ReturnType<typeof createScriptedModel>>
const repositories: Repository[] = []

beforeAll(async () => {
  model = await createScriptedModel({ port: MODEL_PORT })
  product = await startProduct()
  browser = await startBrowser()
})
afterAll(async () => {
  await browser?.close()
  await product?.close()
  await model?.close()
  for (const repository of repositories) await repository.close()
})

type Files = Record<string, string | Uint8Array>

/** The files that a framework's generator makes with npm. */
const generated = (generator: string, ...flags: string[]): Files =>
  filesMadeBy([['npm', 'exec', '--yes', '--', generator, 'app', ...flags]])

/** The files of the folder `app` that these commands make. */
function filesMadeBy(commands: readonly (readonly [string, ...string[]])[]): Files {
  const root = mkdtempSync(join(tmpdir(), 'covibes-generated-'))
  for (const [program, ...args] of commands)
    execFileSync(program, args, {
      cwd: root,
      env: { ...process.env, CI: '1', NEXT_TELEMETRY_DISABLED: '1' },
      stdio: 'pipe',
    })
  const app = join(root, 'app')
  const files = readdirSync(app, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/(^|\/)(\.git|node_modules)(\/|$)/.test(entry.parentPath))
    .map((entry) => join(entry.parentPath, entry.name))
  const content = Object.fromEntries(files.map((file) => [relative(app, file), readFileSync(file)]))
  rmSync(root, { recursive: true })
  return content
}

async function withRepository(files: Files): Promise<TestMember> {
  const repository = await Repository.start(files)
  repositories.push(repository)
  const member = await product.member()
  await withWorkspace(member, repository.url)
  return member
}

/** As the frontend opens it: with the token behind its address. The page is marked, to be known again. */
async function open(member: TestMember, address: string): Promise<Page> {
  const page = await (await browser.newContext()).newPage()
  await page.goto(`${address}?token=${member.token}`)
  await page.evaluate('window.isSamePage = true')
  return page
}

const save = async (member: TestMember, path: string, content: string) => {
  const { status } = await member.call('POST', '/api/ide/file', { path, content, branch: 'main' })
  expect(status).toBe(200)
}

const isSamePage = (page: Page) => page.evaluate('window.isSamePage === true')

/** A page with an image, a client-side route, a POST, and what it can know of how it was opened. */
const APP = `import logo from './logo.svg'
import { useEffect, useState } from 'react'
export default function App() {
  const [path, setPath] = useState(location.pathname)
  const [answer, setAnswer] = useState('')
  const [seen, setSeen] = useState('')
  useEffect(() => {
    fetch('/seen').then((r) => r.text()).then((headers) => setSeen(JSON.stringify([location.href, document.referrer, headers])))
  }, [])
  return <main>
    <h1>Before the change</h1>
    <img src={logo} alt="logo" />
    <button id="route" onClick={() => { history.pushState(null, '', '/about'); setPath('/about') }}>{path}</button>
    <button id="post" onClick={() => fetch('/echo', { method: 'POST', body: 'posted' }).then((r) => r.text()).then(setAnswer)}>post</button>
    <p id="answer">{answer}</p>
    <p id="seen">{seen}</p>
  </main>
}
`
const LOGO = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><rect width="40" height="30"/></svg>'
const CONFIG = `import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'
const answers = { name: 'answers', configureServer({ middlewares }) {
  middlewares.use('/seen', (request, response) => response.end(JSON.stringify([request.url, request.headers])))
  middlewares.use('/echo', (request, response) => { response.write(request.method + ' '); request.pipe(response) })
} }
export default defineConfig({ plugins: [react(), answers], build: { assetsInlineLimit: 0 } })
`

it('Vite: text, image, route, POST; a claude agent edits a component and the open page shows it', async () => {
  const files = generated('create-vite@9.3.0', '--template', 'react', '--no-interactive')
  const member = await withRepository({
    ...files,
    'src/App.jsx': APP,
    'src/logo.svg': LOGO,
    'vite.config.js': CONFIG,
  })
  const address = await readyPreview(member, 'workspace', INSTALLED)
  const page = await open(member, address)

  await page.waitForSelector('text=Before the change')
  const width = () => page.evaluate(`document.querySelector('img')?.naturalWidth`)
  await expect.poll(width).toBe(40)
  await page.click('#post')
  await expect.poll(() => page.textContent('#answer')).toBe('POST posted')
  await page.click('#route')
  expect(new URL(page.url()).pathname).toBe('/about')

  // What the page, its server and its address can know.
  const ticket = /\/enter\/([^/]+)\//.exec(address)?.[1] ?? ''
  expect(ticket.length).toBeGreaterThan(100)
  await expect.poll(() => page.textContent('#seen')).toContain('user-agent')
  const known = `${page.url()} ${await page.textContent('#seen')}`
  for (const secret of [member.token, ticket, '__Host-covibes-preview']) expect(known).not.toContain(secret)

  // Without the cookie nobody comes in, and the ticket was for one visit.
  const stranger = await (await browser.newContext()).newPage()
  expect((await stranger.goto(new URL('/', address).href))?.status()).toBe(403)
  expect((await stranger.goto(address))?.status()).toBe(403)

  const socket = await member.socket()
  const agent = await member.spawn('edit src/App.jsx replace "Before the change" with "After the change"', {
    agentType: 'claude',
  })
  await page.waitForSelector('text=After the change', { timeout: HOT_MS })
  expect(await isSamePage(page)).toBe(true)
  await socket.ended(agent.id, HOT_MS)
  expect(z.object({ status: z.string() }).parse(await member.agent(agent.id)).status).toBe('completed')
}, 400_000)

it('Next.js: a changed file appears without a reload', async () => {
  const files = generated(
    'create-next-app@16.4.3',
    ...['--js', '--app', '--no-tailwind', '--no-eslint', '--no-src-dir', '--no-react-compiler', '--disable-git'],
    ...['--skip-install', '--import-alias', '@/*', '--use-npm', '--yes'],
  )
  const page = (text: string) => `export default function Page() { return <h1>${text}</h1> }\n`
  const member = await withRepository({ ...files, 'app/page.js': page('Before the change') })
  const seen = await open(member, await readyPreview(member, 'workspace', INSTALLED))
  await seen.waitForSelector('text=Before the change', { timeout: HOT_MS })
  // A page that has not hydrated yet has no socket to be told over.
  await seen.waitForFunction(`Object.keys(document.querySelector('h1')).some((key) => key.startsWith('__react'))`)
  await save(member, 'app/page.js', page('After the change'))
  await seen.waitForSelector('text=After the change', { timeout: HOT_MS })
  expect(await isSamePage(seen)).toBe(true)
}, 400_000)

const NODE = `require('node:http').createServer((_, response) => response.end('<h1>plain Node</h1>')).listen(process.env.PORT)\n`
const FLASK =
  "from flask import Flask\napp = Flask(__name__)\n@app.route('/')\ndef page():\n    return '<h1>made by Flask</h1>'\n"
const FASTAPI = `from fastapi import FastAPI
from fastapi.responses import HTMLResponse
app = FastAPI()
@app.get('/', response_class=HTMLResponse)
def page():
    return '<h1>made by FastAPI</h1>'
`
const DJANGO = [
  ['python3', '-m', 'venv', 'venv'],
  ['venv/bin/pip', 'install', '--quiet', 'django==5.2.8'],
  ['mkdir', 'app'],
  ['venv/bin/django-admin', 'startproject', 'site_of_django', 'app'],
] as const

it.each<[string, () => Files, string]>([
  ['vite', () => generated('create-vite@9.3.0', '--template', 'vue', '--no-interactive'), 'Count is 0'],
  ['node', () => ({ 'package.json': '{"scripts": {"dev": "node server.js"}}', 'server.js': NODE }), 'plain Node'],
  ['static', () => ({ 'index.html': '<h1>a static page</h1>' }), 'a static page'],
  ['flask', () => ({ 'requirements.txt': 'flask==3.1.2\n', 'app.py': FLASK }), 'made by Flask'],
  [
    'fastapi',
    () => ({ 'requirements.txt': 'fastapi==0.121.2\nuvicorn==0.38.0\n', 'main.py': FASTAPI }),
    'made by FastAPI',
  ],
  [
    'django',
    () => ({ ...filesMadeBy(DJANGO), 'requirements.txt': 'django==5.2.8\n' }),
    'The install worked successfully',
  ],
  ['unknown', () => ({ 'notes.txt': 'nothing to run' }), 'package.json'],
])(
  '%s is seen in a browser',
  async (type, files, text) => {
    const member = await withRepository(files())
    const page = await open(member, await readyPreview(member, 'workspace', INSTALLED))
    await page.waitForSelector(`text=${text}`, { timeout: HOT_MS })
    expect((await previewsOf(member)).workspace.projectType).toBe(type)
    await member.call('POST', '/api/preview/stop', {})
  },
  300_000,
)
