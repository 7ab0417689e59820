/** The preview gateway beside the dev server reached directly, and how long a preview takes from create to its first byte. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import * as z from 'zod'
import { startGateway } from '../../container-images/preview-gateway/src/gateway.ts'
import { MemoryDirectory } from '../../container-images/preview-gateway/src/memory-directory.ts'
import { PreviewAnswerSchema } from '../../shared/contracts/preview-api.ts'
import { PREVIEW_COOKIE } from '../../shared/contracts/previews.ts'
import { issueCookie, newPreviewLabel } from '../../shared/domain/previews/signatures.ts'
import type { Product, TestMember } from '../support/product.ts'
import { ms, printTable, sample, times } from './statistics.ts'

const CONNECTIONS = 32
const MEASURED_MS = 5_000
/** Bytes of an answer: a module as a dev server sends them. */
const BODY = randomBytes(4 * 1024).toString('base64url')
const DOMAIN = 'preview.localhost'

interface Target {
  readonly port: number
  readonly headers: Record<string, string>
}

/** Requests one after the other on each of the connections, for as long as is measured. */
async function load({ port, headers }: Target): Promise<{ perSecond: number; delays: number[] }> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  const delays: number[] = []
  const until = performance.now() + MEASURED_MS
  const visitor = async () => {
    while (performance.now() < until) {
      const startedAt = performance.now()
      const outgoing = request({ host: '127.0.0.1', port, path: '/src/module.js', headers, agent }).end()
      const [response] = await once(outgoing, 'response')
      if (response.statusCode !== 200) throw new Error(`answered with ${response.statusCode}`)
      for await (const _ of response);
      delays.push(performance.now() - startedAt)
    }
  }
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: CONNECTIONS }, visitor))
  agent.destroy()
  return { perSecond: (1000 * delays.length) / (performance.now() - startedAt), delays }
}

export async function benchPreviewGateway(): Promise<void> {
  const devServer = createServer((_, response) => response.end(BODY)).listen(0, '127.0.0.1')
  await once(devServer, 'listening')
  const { port } = devServer.address() as AddressInfo
  const secret = randomBytes(48).toString('base64url')
  const label = newPreviewLabel('workspace')
  const directory = new MemoryDirectory()
  directory.items.set(label, {
    teamId: 'team',
    branch: 'workspace',
    environmentId: 'preview',
    status: 'running',
    idle: false,
    address: '127.0.0.1',
    port,
    public: false,
  })
  const gateway = await startGateway({
    directory,
    secret,
    domain: DOMAIN,
    scheme: 'http',
    appOrigins: ['http://localhost:3001'],
    host: '127.0.0.1',
    port: 0,
    log: () => undefined,
  })
  const cookie = issueCookie({ label, userId: 'member', exp: Date.now() + 3_600_000 }, secret)
  const through = {
    port: gateway.port,
    headers: { host: `${label}.${DOMAIN}:${gateway.port}`, cookie: `${PREVIEW_COOKIE}=${cookie}` },
  }
  const direct = await load({ port, headers: {} })
  const ours = await load(through)
  await gateway.close()
  devServer.close()
  const [floor, passed] = [sample(direct.delays), sample(ours.delays)]
  const row = (name: string, perSecond: number, { p50, p99 }: typeof floor) => [
    name,
    perSecond.toFixed(0),
    ms(p50),
    ms(p99),
  ]
  printTable(
    `preview gateway: ${BODY.length} bytes an answer, ${CONNECTIONS} connections, client and servers in one process`,
    [
      ['', 'requests/s', 'p50', 'p99'],
      row('through the gateway', ours.perSecond, passed),
      row('the dev server directly', direct.perSecond, floor),
      ['ratio', times(ours.perSecond / direct.perSecond), times(passed.p50 / floor.p50), times(passed.p99 / floor.p99)],
    ],
  )
}

/** Milliseconds after which a preview that does not come is given up. */
const PATIENCE_MS = 60_000
/** Looking costs the product as well: how much later a phase is seen at most. */
const LOOK_EVERY_MS = 25
const PREVIEWS = 5

/** From create to the first byte of a page without anything to install: the way through the control plane, not through npm. */
export async function benchPreviewPhases(product: Product): Promise<void> {
  const phases: Record<'create answered' | 'container runs' | 'server ready' | 'first byte', number[]> = {
    'create answered': [],
    'container runs': [],
    'server ready': [],
    'first byte': [],
  }
  for (let n = 0; n < PREVIEWS; n++) {
    const member = await product.member()
    await member.call('POST', '/api/environments', {})
    await untilSynced(member)
    await member.call('POST', '/api/ide/file', { path: 'index.html', content: '<h1>hello</h1>', branch: 'main' })
    const startedAt = performance.now()
    const took = (phase: keyof typeof phases) => phases[phase].push(performance.now() - startedAt)
    const { body } = await member.call('POST', '/api/preview/create', {})
    const { url } = PreviewAnswerSchema.parse(body)
    took('create answered')
    await containerStatus(member, 'running')
    took('container runs')
    await untilReady(member)
    took('server ready')
    await firstByte(url)
    took('first byte')
  }
  printTable(`preview: from create, ${PREVIEWS} times, a static page`, [
    ['until', 'p50', 'slowest'],
    ...Object.entries(phases).map(([phase, values]) => [phase, ms(sample(values).p50), ms(Math.max(...values))]),
  ])
}

const EnvironmentSchema = z.object({
  containers: z.array(z.object({ kind: z.string(), status: z.string() })),
  workspace: z.object({ state: z.string() }).optional(),
})
const StatusSchema = z.object({ workspace: z.object({ status: z.string() }) })

async function until(what: string, look: () => Promise<boolean>): Promise<void> {
  const givenUpAt = performance.now() + PATIENCE_MS
  while (!(await look())) {
    if (performance.now() > givenUpAt) throw new Error(`${what}: not within ${PATIENCE_MS} ms`)
    await delay(LOOK_EVERY_MS)
  }
}
const containerStatus = (member: TestMember, wanted: string) =>
  until(`the preview is ${wanted}`, async () => {
    const { body } = await member.call('GET', `/api/environments/${member.teamId}`)
    return EnvironmentSchema.parse(body).containers.some(({ kind, status }) => kind === 'preview' && status === wanted)
  })
const untilSynced = (member: TestMember) =>
  until('the workspace is there', async () => {
    const { body } = await member.call('GET', `/api/environments/${member.teamId}`)
    return EnvironmentSchema.parse(body).workspace?.state === 'synced'
  })
const untilReady = (member: TestMember) =>
  until('the preview is ready', async () => {
    const { body } = await member.call('GET', '/api/preview/status')
    return StatusSchema.parse(body).workspace.status === 'ready'
  })

/** The ticket's redirect, then the page with its cookie. Node's resolver may not know hosts below localhost. */
async function firstByte(url: string): Promise<void> {
  const { host, port, pathname } = new URL(url)
  const ask = async (path: string, headers: Record<string, string>) => {
    const [response] = await once(request({ host: '127.0.0.1', port, path, headers }).end(), 'response')
    response.resume()
    return response
  }
  const entered = await ask(pathname, { host })
  const cookie = String(entered.headers['set-cookie']?.[0] ?? '').split(';')[0] ?? ''
  const page = await ask('/', { host, cookie })
  if (page.statusCode !== 200) throw new Error(`the preview answered with ${page.statusCode}`)
}
