/** What happens to a preview over time, in the started product and a real browser: idle, woken, taken down, restarted under it. */
import { GetCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import type { TeamContainer, TeamEnvironmentView } from '../../shared/contracts/environments.ts'
import { previewKeys } from '../../shared/contracts/previews.ts'
import { startBrowser } from '../support/browser.ts'
import { createPreview, hostOf, portLeases, previewThat, readyPreview } from '../support/previews.ts'
import { type Product, startProduct, type TestMember } from '../support/product.ts'
import { Repository } from '../support/repository.ts'
import { environmentOf, environmentThat, SOON, syncOf, withWorkspace } from '../support/workspaces.ts'

let product: Product
let browser: Browser
let repository: Repository

beforeAll(async () => {
  repository = await Repository.start({ 'index.html': '<!doctype html><h1>from the repository</h1>' })
  product = await startProduct()
  browser = await startBrowser()
})
afterAll(async () => {
  await browser?.close()
  await product?.close()
  await repository?.close()
})

async function memberWithPreview(): Promise<{ member: TestMember; address: string }> {
  const member = await product.member()
  await withWorkspace(member, repository.url)
  return { member, address: await readyPreview(member) }
}

const environmentsTable = () => product.runtime.functionOf('reconcile-tasks').environment.ENVIRONMENTS_TABLE ?? ''
const previewsTable = () => product.runtime.functionOf('reconcile-tasks').environment.PREVIEWS_TABLE
const labelOf = (address: string): string => new URL(address).hostname.split('.')[0] ?? ''

const previewIn = ({ containers }: TeamEnvironmentView): TeamContainer | undefined =>
  containers.find(({ kind }) => kind === 'preview')

/** The ports that records of the team hold. */
async function portsOf({ teamId }: TestMember): Promise<number[]> {
  const leases = await portLeases(product.tables, environmentsTable())
  return [...leases].flatMap(([port, holder]) => (holder.startsWith(`${teamId}/`) ? [port] : []))
}

const inDirectory = async (address: string) => {
  const { Item } = await product.tables.send(
    new GetCommand({
      TableName: previewsTable(),
      Key: { pk: previewKeys.label(labelOf(address)) },
      ConsistentRead: true,
    }),
  )
  return Item
}

/** The clock of this machine cannot be moved; what was noted of the start and the last visit can. */
async function longUnvisited(member: TestMember, address: string): Promise<void> {
  const then = new Date('2020-01-01T00:00:00.000Z')
  const { containerId } = previewIn(await environmentOf(member)) ?? {}
  await product.tables.send(
    new UpdateCommand({
      TableName: environmentsTable(),
      Key: { pk: `TEAM#${member.teamId}`, sk: `ENV#${containerId}` },
      UpdateExpression: 'SET startedAt = :then',
      ConditionExpression: 'attribute_exists(startedAt)',
      ExpressionAttributeValues: { ':then': then.toISOString() },
    }),
  )
  await product.tables.send(
    new UpdateCommand({
      TableName: previewsTable(),
      Key: { pk: previewKeys.label(labelOf(address)) },
      UpdateExpression: 'SET lastVisitAt = :then',
      ConditionExpression: 'attribute_exists(lastVisitAt)',
      ExpressionAttributeValues: { ':then': then.getTime() },
    }),
  )
}

/** What the schedule does once a minute. */
async function reconcile(): Promise<void> {
  const { functionError } = await product.runtime.lambda.invoke(product.runtime.functionOf('reconcile-tasks').arn, {})
  expect(functionError).toBeUndefined()
}

it('one that nobody visits stops; the next visit wakes it, in a browser that was let in before', async () => {
  const { member, address } = await memberWithPreview()
  const context = await browser.newContext()
  const left = await context.newPage()
  await left.goto(address)
  await left.waitForSelector('text=from the repository')
  await reconcile()
  expect((await previewThat(member, 'workspace', () => true)).status).toBe('ready')
  const [port] = await portsOf(member)
  expect(port).toBeGreaterThanOrEqual(5000)

  const askedAgain = left.waitForResponse((response) => response.status() >= 500)
  await vi.waitFor(async () => {
    // Until now, because the gateway may have been about to note the visit.
    await longUnvisited(member, address)
    await reconcile()
    if (previewIn(await environmentOf(member))?.status === 'running')
      throw new Error('the preview has not been stopped')
  }, SOON)
  const stopped = previewIn(await environmentThat(member, (view) => previewIn(view)?.status === 'stopped'))
  expect(stopped).toMatchObject({ ports: [], reason: expect.stringContaining('nobody visited it for 30 minutes') })
  expect(await portsOf(member)).toEqual([])
  expect(await inDirectory(address)).toMatchObject({ idle: true, status: 'killed' })

  // The page that was left open has lost its server and asks for it: that is no visit.
  await askedAgain
  expect(previewIn(await environmentOf(member))?.status).toBe('stopped')

  const page = await context.newPage()
  const asked: string[] = []
  page.on('request', (request) => asked.push(request.url()))
  const first = await page.goto(hostOf(address))
  expect(first?.status()).toBe(503)
  await page.waitForSelector('text=The preview is waking up')
  // Nobody touches it: the page loads itself until the preview is there.
  await page.waitForSelector('text=from the repository', { timeout: SOON.timeout })
  expect(page.url()).toBe(hostOf(address))
  expect(asked.filter((url) => url.includes('/__covibes/enter/'))).toEqual([])
  await previewThat(member, 'workspace', ({ status }) => status === 'ready')
  expect(await portsOf(member)).toHaveLength(1)
  expect(syncOf(await environmentOf(member))?.status).toBe('running')
}, 120_000)

it('one whose environment is deleted is gone, with its port and its host, and says so', async () => {
  const { member, address } = await memberWithPreview()
  const page = await (await browser.newContext()).newPage()
  await page.goto(address)
  await page.waitForSelector('text=from the repository')
  expect((await member.call('DELETE', `/api/environments/${member.teamId}`)).status).toBe(200)
  await environmentThat(member, ({ status }) => status === 'none')
  expect(await portsOf(member)).toEqual([])
  expect(await inDirectory(address)).toBeUndefined()
  await vi.waitFor(async () => {
    expect((await page.goto(hostOf(address)))?.status()).toBe(404)
  }, SOON)
  expect(await page.textContent('main')).toContain('preview')
  expect((await member.call('GET', '/api/preview/logs/workspace')).status).toBe(404)
}, 120_000)

it('one under which the product is restarted says why, and comes back at its host when it is asked for', async () => {
  const { member, address } = await memberWithPreview()
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(address)
  await page.waitForSelector('text=from the repository')

  const { stateDir } = product
  await product.close({ keepState: true })
  product = await startProduct({ stateDir, previewPort: Number(new URL(address).port) })
  const again = await product.member(member.teamId, member.userId)
  const ended = await previewThat(again, 'workspace', ({ status }) => status === 'error')
  expect(ended.message).toContain('restarted')
  expect(ended.port).toBeNull()
  expect(await portsOf(again)).toEqual([])
  await page.goto(hostOf(address))
  await page.waitForSelector('text=restarted', { timeout: SOON.timeout })

  // As a frontend does that is loaded anew.
  await createPreview(again)
  const next = await readyPreview(again)
  expect(labelOf(next)).toBe(labelOf(address))
  await page.goto(hostOf(address))
  await page.waitForSelector('text=from the repository', { timeout: SOON.timeout })
  expect(await portsOf(again)).toHaveLength(1)
}, 120_000)
