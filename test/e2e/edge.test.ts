/** The started product by way of its distribution: what a browser on one origin gets. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serveDirectory } from '../../local/frontend/serve-directory.ts'
import { type Product, startProduct } from '../support/product.ts'

const folder = mkdtempSync(join(tmpdir(), 'edge-'))
const built = join(folder, 'dist')
let product: Product
beforeAll(async () => {
  mkdirSync(join(built, 'assets'), { recursive: true })
  writeFileSync(join(built, 'index.html'), '<title>Covibes</title>')
  writeFileSync(join(built, 'assets', 'index-1a2b.js'), 'run()')
  writeFileSync(join(folder, 'secret.txt'), 'secret')
  product = await startProduct({ frontend: serveDirectory(built) })
})
afterAll(async () => {
  await product?.close()
  rmSync(folder, { recursive: true })
})

const get = async (path: string, init: RequestInit = {}) => {
  const response = await fetch(new URL(path, product.url), init)
  return { status: response.status, headers: response.headers, text: await response.text() }
}

describe('one origin', () => {
  it('serves the page, the API and its refusals', async () => {
    const page = { status: 200, text: '<title>Covibes</title>' }
    for (const path of ['/', '/auth', '/?auth_success=true&token=x', '/teams/a/b'])
      expect(await get(path)).toMatchObject(page)
    const script = await get('/assets/index-1a2b.js?v=1')
    expect(script).toMatchObject({ status: 200, text: 'run()' })
    expect(script.headers.get('content-type')).toContain('javascript')
    expect(script.headers.get('x-content-type-options')).toBe('nosniff')
    expect((await get('/assets/index-3c4d.js')).status).toBe(404)
    expect(JSON.parse((await get('/api/health')).text)).toBeTypeOf('object')
    expect(await get('/api/agents')).toMatchObject({ status: 401, text: '{"message":"Unauthorized"}' })
    const member = await product.member()
    expect(await member.call('GET', '/api/agents')).toMatchObject({ status: 200, body: { agents: [] } })
  })

  it.each([
    ['polling, then websocket', {}],
    ['websocket without a session', { transports: ['websocket'] }],
    ['without the slash', { addTrailingSlash: false }],
  ])('carries a socket: %s', async (_, options) => {
    const member = await product.member()
    const socket = await member.socket(options)
    await socket.upgraded()
    const agent = await member.spawn('exit 0')
    await socket.next('agent-spawned', (payload) => (payload.agent as { id: string }).id === agent.id)
    await socket.ended(agent.id)
  })

  it('gives nothing from beside the frontend', async () => {
    const { hostname, port } = new URL(product.url)
    for (const path of ['/../secret.txt', '/%2e%2e/secret.txt', '/assets/..%2f..%2fsecret.txt', '//..//secret.txt']) {
      const [status, text] = await new Promise<[number | undefined, string]>((resolve, reject) => {
        const asked = request({ hostname, port, path }, (response) => {
          let body = ''
          response.on('data', (chunk) => {
            body += chunk
          })
          response.on('end', () => resolve([response.statusCode, body]))
        })
        asked.on('error', reject)
        asked.end()
      })
      expect([path, status, text.includes('secret')]).toEqual([path, expect.any(Number), false])
      expect(status).toBeGreaterThanOrEqual(400)
    }
  })

  it.each([
    ['no transport', '/socket.io/?EIO=4', 400],
    ['an unknown one', '/socket.io/?EIO=4&transport=carrier-pigeon', 400],
    ['two of them', '/socket.io/?EIO=4&transport=polling&transport=websocket', 400],
    ['an upgrade that is none', '/socket.io/?EIO=4&transport=websocket', 403],
    ['another path of the WebSocket API', '/live', 200],
  ])('answers odd sockets plainly: %s', async (_, path, status) => {
    expect((await get(path)).status).toBe(status)
  })
})
