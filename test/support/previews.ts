/** Previews as members and visitors of the running product see them, and their leases as operators do. */
import { BatchGetCommand, type DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb'
import { expect, vi } from 'vitest'
import type * as z from 'zod'
import { PreviewAnswerSchema, PreviewStatusAnswerSchema, type PreviewView } from '../../shared/contracts/preview-api.ts'
import type { PreviewBranch } from '../../shared/contracts/preview-link.ts'
import type { TestMember } from './product.ts'
import { SOON } from './workspaces.ts'

export async function createPreview(
  member: TestMember,
  fields: { readonly branch?: PreviewBranch; readonly isPublic?: boolean } = {},
): Promise<z.infer<typeof PreviewAnswerSchema>> {
  const { status, body } = await member.call('POST', '/api/preview/create', { branch: 'workspace', ...fields })
  expect(status, JSON.stringify(body)).toBe(200)
  return PreviewAnswerSchema.parse(body)
}

/** All of the team's previews, by branch. */
export async function previewsOf(member: TestMember): Promise<Record<PreviewBranch, PreviewView>> {
  const { status, body } = await member.call('GET', '/api/preview/status')
  expect(status, JSON.stringify(body)).toBe(200)
  return PreviewStatusAnswerSchema.parse(body)
}

/** Resolves with the preview once `fits`; rejects with what it is instead. */
export const previewThat = (
  member: TestMember,
  branch: PreviewBranch,
  fits: (view: PreviewView) => boolean,
  wait: { readonly timeout: number; readonly interval: number } = SOON,
): Promise<PreviewView> =>
  vi.waitFor(async () => {
    const view = (await previewsOf(member))[branch]
    if (!fits(view)) throw new Error(`the preview is ${JSON.stringify(view)}`)
    return view
  }, wait)

/** The member's address of a branch's preview, which lets in once: started, and ready. */
export async function readyPreview(
  member: TestMember,
  branch: PreviewBranch = 'workspace',
  wait: { readonly timeout: number; readonly interval: number } = SOON,
): Promise<string> {
  await createPreview(member, { branch })
  await previewThat(member, branch, ({ status }) => status === 'ready', wait)
  return (await createPreview(member, { branch })).url
}

/** A preview's own host, as whoever has been let in goes there. */
export const hostOf = (address: string): string => new URL('/', address).href

/** Items that the leases are kept in, of a hundred ports each. */
const LEASES = Array.from({ length: 40 }, (_, shard) => ({
  pk: `PORTS#${String(shard).padStart(2, '0')}`,
  sk: 'LEASES',
}))

/** Who holds which port, `<team>/<record>`, as the leases say. */
export async function portLeases(client: DynamoDBDocumentClient, table: string): Promise<Map<number, string>> {
  const { Responses = {}, UnprocessedKeys = {} } = await client.send(
    new BatchGetCommand({ RequestItems: { [table]: { Keys: LEASES, ConsistentRead: true } } }),
  )
  expect(UnprocessedKeys).toEqual({})
  const held = new Map<number, string>()
  for (const { pk: _pk, sk: _sk, ...ports } of Responses[table] ?? [])
    for (const [port, holder] of Object.entries(ports)) held.set(Number(port.slice(1)), String(holder))
  return held
}
