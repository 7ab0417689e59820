/** What a preview has installed outlives its task: kept on the team's file system, written by previews alone, gone with the team. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest'
import { signature } from '../../ops/team.ts'
import { PreviewLogsAnswerSchema } from '../../shared/contracts/preview-api.ts'
import { startRegistry } from '../support/package-registry.ts'
import { previewThat, readyPreview } from '../support/previews.ts'
import { type Product, startProduct, type TestMember } from '../support/product.ts'
import { Repository } from '../support/repository.ts'
import { environmentOf, internalSecret, madeFor, SOON, teamDirectory, withWorkspace } from '../support/workspaces.ts'

let product: Product

beforeAll(async () => {
  product = await startProduct()
})
afterAll(() => product?.close())

/** All that the preview has written, of its earlier generations as well. */
async function logsOf(member: TestMember): Promise<string> {
  const { body } = await member.call('GET', '/api/preview/logs/workspace?limit=100')
  return JSON.stringify(PreviewLogsAnswerSchema.parse(body).logs)
}

it('is installed from what the task before it has kept, and goes when the team does', async () => {
  const registry = await startRegistry('covibes-outlives', 'from the package')
  onTestFinished(() => registry.close())
  const repository = await Repository.start(registry.project)
  onTestFinished(() => repository.close())
  const member = await product.member()
  await withWorkspace(member, repository.url)
  await readyPreview(member)
  await vi.waitFor(async () => expect(await logsOf(member)).toContain('Packages are kept for the next start'), SOON)
  const cache = join(teamDirectory(product, member.teamId), 'cache')
  expect(readdirSync(cache)).toEqual([expect.stringMatching(/^packages-.*\.tar\.gz$/)])
  // Sync's, and the preview's two: none of agents, because the team has none.
  expect(await madeFor(product, member.teamId)).toMatchObject({ accessPoints: 3, roles: 2 })

  await registry.close()
  expect((await member.call('POST', '/api/preview/restart', {})).status).toBe(200)
  await vi.waitFor(async () => expect(await logsOf(member)).toContain('Packages of earlier installs are here'), SOON)
  await previewThat(member, 'workspace', ({ status }) => status === 'ready')

  const path = `/internal/teams/${member.teamId}`
  const headers = signature('DELETE', path, await internalSecret(product))
  expect((await fetch(new URL(path, product.runtime.apiUrl), { method: 'DELETE', headers })).status).toBe(200)
  const removed = { timeout: 120_000, interval: 500 }
  await vi.waitFor(async () => expect((await environmentOf(member)).status).toBe('none'), removed)
  expect(existsSync(cache)).toBe(false)
  expect(await madeFor(product, member.teamId)).toMatchObject({ accessPoints: 0, roles: 0 })
}, 240_000)
