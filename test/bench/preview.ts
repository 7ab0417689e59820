/** How long a preview takes from create to its first byte. */
import { once } from 'node:events'
import { request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import * as z from 'zod'
import { PreviewAnswerSchema } from '../../shared/contracts/preview-api.ts'
import type { Product, TestMember } from '../support/product.ts'
import { ms, printTable, sample } from './statistics.ts'

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
