/** The started product by way of its distribution: what a browser on one origin gets. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Product, startProduct } from '../support/product.ts'

let product: Product
beforeAll(async () => {
  product = await startProduct({
    frontend: (request, response) => {
      response.setHeader('content-type', 'text/html')
      response.end(`<title>${request.url}</title>`)
    },
  })
})
afterAll(() => product?.close())

const get = async (path: string, init: RequestInit = {}) => {
  const response = await fetch(new URL(path, product.url), init)
  return { status: response.status, headers: response.headers, text: await response.text() }
}

describe('one origin', () => {
  it('serves the page, the API and its refusals', async () => {
    expect(await get('/auth?token=x')).toMatchObject({ status: 200, text: '<title>/index.html</title>' })
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
