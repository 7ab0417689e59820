/** The gateway of the started product: what the template gives it, and the way from its port to a preview's. */
import { once } from 'node:events'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { previewKeys } from '../../shared/contracts/previews.ts'
import { type Product, startProduct } from '../support/product.ts'

const LABEL = `workspace-${'a'.repeat(20)}`
let product: Product
let devServer: Server
let table: string

beforeAll(async () => {
  product = await startProduct()
  table = product.runtime.functionOf('create-preview').environment.PREVIEWS_TABLE ?? ''
  devServer = createServer((incoming, response) => response.end(`hello from ${incoming.headers.host}`))
  devServer.listen(0, '127.0.0.1')
  await once(devServer, 'listening')
})
afterAll(async () => {
  devServer?.close()
  await product?.close()
})

/** Node's own resolver may not know hosts below localhost; browsers do. */
async function visit(url: string): Promise<{ status: number | undefined; body: string; policy: string | undefined }> {
  const { host, hostname, port, pathname } = new URL(url)
  expect(hostname.endsWith('.preview.localhost')).toBe(true)
  const outgoing = request({ host: '127.0.0.1', port, path: pathname, headers: { host } }).end()
  const [response] = await once(outgoing, 'response')
  let body = ''
  for await (const chunk of response) body += chunk
  return { status: response.statusCode, body, policy: response.headers['content-security-policy'] }
}

it('carries visits of a preview in the directory to its server, and writes down that there was one', async () => {
  const { runtime, tables } = product
  const { port } = devServer.address() as AddressInfo
  const pk = previewKeys.label(LABEL)
  await tables.send(
    new PutCommand({
      TableName: table,
      Item: {
        pk,
        teamId: 'team',
        branch: 'workspace',
        environmentId: 'environment',
        status: 'running',
        address: '127.0.0.1',
        port,
        public: true,
      },
    }),
  )
  const { status, body, policy } = await visit(`${runtime.previewUrl(LABEL)}/`)
  expect([status, body]).toEqual([200, `hello from localhost:${port}`])
  // The app may frame it, by either of its names.
  expect(policy).toContain(runtime.url)
  expect(policy).toContain(runtime.url.replace('127.0.0.1', 'localhost'))
  await vi.waitFor(async () => {
    const { Item } = await tables.send(new GetCommand({ TableName: table, Key: { pk }, ConsistentRead: true }))
    expect(Item?.lastVisitAt).toBeGreaterThan(0)
  })
})

it('knows no preview that is not in the directory', async () => {
  const { status } = await visit(`${product.runtime.previewUrl(LABEL.replaceAll('a', 'b'))}/`)
  expect(status).toBe(404)
})

it('has the address that functions give members', () => {
  const pattern = product.runtime.functionOf('create-preview').environment.PREVIEW_ORIGIN_PATTERN
  expect(pattern?.replace('{label}', LABEL)).toBe(product.runtime.previewUrl(LABEL))
})
