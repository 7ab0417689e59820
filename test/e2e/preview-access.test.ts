/** Who sees which preview, and from where: branches, viewers, the public, old addresses, the socket, the log. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PutCommand } from '@aws-sdk/lib-dynamodb'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { PreviewLogsAnswerSchema } from '../../shared/contracts/preview-api.ts'
import { startBrowser } from '../support/browser.ts'
import { assemblyDirectory, synthesize } from '../support/global-setup.ts'
import { createPreview, hostOf, previewsOf, previewThat, readyPreview } from '../support/previews.ts'
import { type Product, startProduct, type TestMember } from '../support/product.ts'
import { Repository } from '../support/repository.ts'
import { SOON, withWorkspace } from '../support/workspaces.ts'

let product: Product
let browser: Browser
let repository: Repository
let existing: Server
let ada: TestMember

const said = (text: string) => `<!doctype html><h1>${text}</h1>`

beforeAll(async () => {
  // It tells what it was asked.
  existing = createServer((request, response) =>
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ existing: request.url })),
  )
  existing.listen(0, '127.0.0.1')
  await once(existing, 'listening')
  const outdir = `${assemblyDirectory}.previews`
  synthesize(outdir, `http://127.0.0.1:${(existing.address() as AddressInfo).port}`)
  repository = await Repository.start({ 'index.html': said('on main'), 'a folder/é.html': said('deep inside') })
  product = await startProduct({ assemblyDirectory: outdir })
  browser = await startBrowser()
  ada = await product.member()
  await withWorkspace(ada, repository.url)
})
afterAll(async () => {
  await browser?.close()
  await product?.close()
  existing?.close()
  await repository?.close()
})

/** A browser of its own. */
const newPage = async (): Promise<Page> => (await browser.newContext()).newPage()

async function open(address: string): Promise<Page> {
  const page = await newPage()
  await page.goto(address)
  return page
}

const sees = (page: Page, text: string) => page.waitForSelector(`h1:has-text("${text}")`, { timeout: SOON.timeout })

async function save(path: string, content: string): Promise<void> {
  const { status } = await ada.call('POST', '/api/ide/file', { path, content, branch: 'main' })
  expect(status).toBe(200)
}

it('shows each branch as it is, all at once; one that is not there says so until it is pushed', async () => {
  const socket = await ada.socket()
  const refresh = async () => {
    const before = socket.of('preview-updated').length
    socket.socket.emit('preview-refresh', { branch: 'main', repositoryUrl: null })
    await socket.until(() => socket.of('preview-updated').length > before, 'answer to preview-refresh')
  }
  await createPreview(ada, { branch: 'main' })
  const { url: stagingAddress } = await createPreview(ada, { branch: 'staging' })
  const workspace = await open(await readyPreview(ada, 'workspace'))
  const main = await open(await readyPreview(ada, 'main'))
  const staging = await open(stagingAddress)
  const missing = 'The repository has no branch staging'
  const none = await previewThat(ada, 'staging', ({ status }) => status === 'error')
  expect(none.message).toContain(missing)
  await staging.waitForSelector(`text=${missing}`, { timeout: SOON.timeout })
  await sees(workspace, 'on main')
  await sees(main, 'on main')
  const ports = Object.values(await previewsOf(ada)).flatMap((view) => (view?.port ? [view.port] : []))
  expect(new Set(ports).size).toBe(3)

  repository.push({ 'index.html': said('on staging') }, 'Staging', 'staging')
  await refresh()
  await sees(staging, 'on staging')
  repository.push({ 'index.html': said('pushed again') }, 'Staging again', 'staging')
  await refresh()
  await sees(staging, 'pushed again')
  expect([await main.textContent('h1'), await workspace.textContent('h1')]).toEqual(['on main', 'on main'])

  // What is written in the workspace is there at once, and on main as soon as sync has pushed it.
  await save('index.html', said('by a member'))
  await sees(workspace, 'by a member')
  await sees(main, 'by a member')
  expect(repository.file('index.html')).toContain('by a member')
  expect(await staging.textContent('h1')).toBe('pushed again')
}, 150_000)

it('shows two members the same, each let in by a ticket of their own', async () => {
  const grace = await product.member(ada.teamId)
  const [first, second] = [await readyPreview(ada), await readyPreview(grace)]
  expect(hostOf(first)).toBe(hostOf(second))
  const pages = [await open(first), await open(second)]
  await save('index.html', said('for both'))
  for (const page of pages) await sees(page, 'for both')
}, 90_000)

it('is for members, for everybody while the team says so, and for members again', async () => {
  const host = hostOf(await readyPreview(ada, 'main'))
  const stranger = await newPage()
  expect((await stranger.goto(host))?.status()).toBe(403)
  expect(await stranger.textContent('main')).toContain('for members of its team')

  const seen = async (status: number) =>
    expect.poll(async () => (await stranger.goto(host))?.status(), SOON).toBe(status)
  await createPreview(ada, { branch: 'main', isPublic: true })
  expect((await previewsOf(ada)).main.isPublic).toBe(true)
  await seen(200)
  await sees(stranger, 'for both')
  expect(await stranger.context().cookies()).toEqual([])
  // Of another branch nothing was said.
  expect((await stranger.goto(hostOf(await readyPreview(ada, 'staging'))))?.status()).toBe(403)
  // What says nothing about it leaves it as it is.
  await createPreview(ada, { branch: 'main' })
  await seen(200)

  await createPreview(ada, { branch: 'main', isPublic: false })
  await seen(403)
  expect(await stranger.textContent('main')).toContain('for members of its team')
}, 90_000)

it('is found from the existing server’s addresses, with path and query, by those who may see it', async () => {
  const host = hostOf(await readyPreview(ada, 'main'))
  const path = `/api/preview/proxy/${ada.teamId}/main/a%20folder/%C3%A9.html?a=1&b=%26`
  const redirect = async (to: string, token?: string) => {
    const answer = await fetch(new URL(to, product.url), {
      redirect: 'manual',
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    })
    return { status: answer.status, location: answer.headers.get('location') ?? '' }
  }
  const entered = /^(http:\/\/[^/]+\/)__covibes\/enter\/[^/]+\/(.*)$/

  const ofMember = await redirect(path, ada.token)
  expect(ofMember.status).toBe(302)
  expect(entered.exec(ofMember.location)?.slice(1)).toEqual([host, 'a%20folder/%C3%A9.html?a=1&b=%26'])
  // As the frontend opens it; the token is in no address after that.
  const page = await newPage()
  await page.goto(`${product.url}${path}&token=${ada.token}`)
  await sees(page, 'deep inside')
  expect(page.url()).toBe(`${host}a%20folder/%C3%A9.html?a=1&b=%26`)
  // This browser has been let in, and needs no token any more.
  await page.goto(`${product.url}/api/preview/proxy/${ada.teamId}/main/`)
  await sees(page, 'for both')
  expect(page.url()).toBe(host)

  // Another team's token is no way in, and neither is none.
  const other = await product.member()
  for (const token of [other.token, undefined]) {
    const { status, location } = await redirect(path, token)
    expect([status, location]).toEqual([302, `${host}a%20folder/%C3%A9.html?a=1&b=%26`])
    const stranger = await newPage()
    expect((await stranger.goto(location))?.status()).toBe(403)
  }
  expect((await redirect(`/api/preview/proxy/${other.teamId}/main/`, other.token)).status).toBe(404)
  expect((await redirect(`/api/preview/proxy/${ada.teamId}/other/`, ada.token)).status).toBe(400)

  // Teams that are not on containers have their previews on the existing server.
  const TableName = product.runtime.functionOf('spawn-agent').environment.FLAGS_TABLE
  await product.tables.send(
    new PutCommand({ TableName, Item: { scope: `team#${other.teamId}`, useDockerAgents: false } }),
  )
  for (const [method, asked] of [
    ['GET', `/api/preview/proxy/${other.teamId}/main/a%20folder/x.js?a=1&b=%26`],
    ['GET', '/api/preview/status'],
    ['POST', '/api/preview/create'],
  ] as const)
    expect((await other.call(method, asked, method === 'POST' ? {} : undefined)).body).toEqual({ existing: asked })
}, 90_000)

it('is told, given and stopped over the socket, and has a log', async () => {
  const socket = await ada.socket()
  await readyPreview(ada, 'main')
  socket.socket.emit('preview-status', { branch: 'main' })
  const told = await socket.next('preview-status-update', ({ branch, url }) => branch === 'main' && url !== undefined)
  expect(told.status).toBe('running')
  const page = await open(`${String(told.url)}?token=${ada.token}`)
  await sees(page, 'for both')

  const { status, body } = await ada.call('GET', '/api/preview/logs/main?limit=100')
  expect(status).toBe(200)
  expect(PreviewLogsAnswerSchema.parse(body).logs.map(({ line }) => line)).toContainEqual(
    expect.stringMatching(/files and directories of the working tree are copied/),
  )

  socket.socket.emit('preview-stop', { branch: 'main' })
  await socket.next('preview-status-update', (payload) => payload.branch === 'main' && payload.status === 'stopped')
  const stopped = await previewThat(ada, 'main', ({ port }) => port === null)
  expect(stopped.status).toBe('stopped')
  // A visit does not start it.
  await expect.poll(async () => (await page.goto(hostOf(page.url())))?.status(), SOON).toBe(503)
  await page.waitForSelector('text=The preview is stopped')
  expect((await previewsOf(ada)).main.status).toBe('stopped')
  socket.socket.emit('preview-stop', { branch: 'staging', nonsense: true })
  await socket.next('preview-status-update', (payload) => payload.branch === 'staging' && payload.status === 'stopped')
}, 90_000)
