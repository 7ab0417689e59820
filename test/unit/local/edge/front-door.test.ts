import { createServer } from 'node:http'
import { Server as SocketIoServer } from 'socket.io'
import { io, type ManagerOptions, type Socket } from 'socket.io-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createFrontDoor } from '../../../../local/edge/front-door.ts'
import { controlPlaneAssembly, openDoor } from './door.ts'

const assembly = controlPlaneAssembly()
const close = 'Connection: close\r\n'
const upgrade = (target: string) =>
  `GET ${target} HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`

describe('front door: paths', () => {
  it.each([
    ['/api/agents?limit=2&x=%20', 'http-api', '/api/agents?limit=2&x=%20'],
    ['/api/', 'http-api', '/api/'],
    ['/api/auth/github', 'http-api', '/api/auth/github'],
    ['/api//agents', 'http-api', '/api//agents'],
    ['/x/../api/agents', 'http-api', '/x/../api/agents'],
    ['/%61pi/agents', 'http-api', '/%61pi/agents'],
    ['/socket.io/?EIO=4&transport=polling', 'http-api', '/socket.io/?EIO=4&transport=polling'],
    ['/socket.io?EIO=4&transport=polling', 'http-api', '/socket.io/?EIO=4&transport=polling'],
    ['/', 'bucket', '/index.html'],
    ['/?auth_success=true&token=t', 'bucket', '/index.html'],
    ['/auth', 'bucket', '/index.html'],
    ['/API/agents', 'bucket', '/index.html'],
    ['/api', 'bucket', '/index.html'],
    ['/api/../auth', 'bucket', '/index.html'],
    ['/socket.iox', 'bucket', '/socket.iox'],
    ['/assets/a.js?v=1', 'bucket', '/assets/a.js'],
    ['/a%2Fapi/x', 'bucket', '/index.html'],
  ])('%s goes to the %s as %s', async (target, origin, asked) => {
    const door = await openDoor(assembly)
    const answer = await door.raw(`GET ${target} HTTP/1.1\r\nHost: app.example\r\n${close}\r\n`)
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expect(door.received).toMatchObject([{ origin, method: 'GET', target: asked }])
  })

  it.each([
    ['POST', '/', 403],
    ['DELETE', '/index.html', 403],
    ['OPTIONS', '/auth', 403],
    ['TRACE', '/api/agents', 403],
    ['GET', `/api/${'x'.repeat(8192)}`, 413],
    ['GET', 'http://elsewhere.example/api/agents', 400],
    ['OPTIONS', '*', 400],
    ['GET', '/socket.io/?transport=websocket', 403],
    ['POST', '/socket.io/?transport=websocket', 403],
  ])('%s %s is %i and reaches no origin', async (method, target, status) => {
    const door = await openDoor(assembly)
    const answer = await door.raw(`${method} ${target} HTTP/1.1\r\nHost: app.example\r\n${close}\r\n`)
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(door.received).toEqual([])
  })

  it('refuses a body in a GET and leaves the connection as good as it was', async () => {
    const door = await openDoor(assembly)
    const answer = await door.raw(
      `GET /api/agents HTTP/1.1\r\nHost: app.example\r\nContent-Length: 4\r\n\r\nbodyGET /api/health HTTP/1.1\r\nHost: app.example\r\n${close}\r\n`,
    )
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 403', 'HTTP/1.1 200'])
    expect(door.received).toMatchObject([{ target: '/api/health' }])
  })

  it.each(['PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD'])('%s passes to the API', async (method) => {
    const door = await openDoor(assembly)
    await fetch(new URL('/api/agents', door.url), { method })
    expect(door.received).toMatchObject([{ origin: 'http-api', method }])
  })
})

describe('front door: what origins and viewers see', () => {
  it("keeps a request to an API as it was, but for Host and CloudFront's own headers", async () => {
    const door = await openDoor(assembly)
    await fetch(new URL('/api/agents', door.url), {
      method: 'POST',
      body: 'x',
      headers: {
        authorization: 'Bearer t',
        cookie: 'a=1; b=2',
        'x-forwarded-for': '203.0.113.9',
        origin: 'https://a.example',
      },
    })
    const headers = door.received[0]?.headers
    expect(headers).toMatchObject({
      authorization: 'Bearer t',
      cookie: 'a=1; b=2',
      origin: 'https://a.example',
      'x-forwarded-for': '203.0.113.9, 127.0.0.1',
    })
    expect(headers?.host).toMatch(/^[a-z0-9]{10}\.execute-api\.us-east-1\.amazonaws\.com$/)
    expect(headers?.via).toMatch(/cloudfront\.net \(CloudFront\)$/)
    expect(headers?.['x-amz-cf-id']).toMatch(/==$/)
  })

  it('gives the bucket neither query, cookies nor tokens', async () => {
    const door = await openDoor(assembly)
    const headers = { authorization: 'Bearer t', cookie: 'a=1', 'if-none-match': '"1"', 'x-forwarded-proto': 'https' }
    await fetch(new URL('/assets/a.js?token=t', door.url), { headers })
    expect(door.received).toMatchObject([{ target: '/assets/a.js', headers: { 'if-none-match': '"1"' } }])
    for (const name of ['authorization', 'cookie', 'x-forwarded-proto'])
      expect(door.received[0]?.headers).not.toHaveProperty(name)
  })

  it('sets the security headers on the frontend and not on the APIs', async () => {
    const door = await openDoor(assembly)
    const page = await fetch(door.url)
    expect(Object.fromEntries(page.headers)).toMatchObject({
      'content-security-policy': "frame-ancestors 'self'; base-uri 'self'; object-src 'none'",
      'referrer-policy': 'strict-origin-when-cross-origin',
      'strict-transport-security': 'max-age=31536000',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'SAMEORIGIN',
      'x-cache': 'Miss from cloudfront',
    })
    const api = await fetch(new URL('/api/agents', door.url))
    expect(api.headers.has('content-security-policy')).toBe(false)
    expect(api.headers.has('x-frame-options')).toBe(false)
  })

  it('has an empty bucket without a frontend', async () => {
    const unused = () => expect.unreachable()
    const door = createFrontDoor({ assembly, http: { handle: unused }, webSockets: { handleUpgrade: unused } })
    const server = createServer((request, response) => door.handle(request, response))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const answer = await fetch(`http://127.0.0.1:${(server.address() as { port: number }).port}/`)
    expect(answer.status).toBe(404)
    expect(await answer.text()).toContain('<Code>NoSuchKey</Code>')
  })
})

describe('front door: upgrades', () => {
  it.each([
    ['/socket.io/?EIO=4&transport=websocket&sid=a', '/live?EIO=4&transport=websocket&sid=a'],
    ['/socket.io?EIO=4&transport=websocket', '/live?EIO=4&transport=websocket'],
  ])('%s reaches the WebSocket API as %s', async (target, asked) => {
    const door = await openDoor(assembly)
    expect(await door.raw(upgrade(target))).toMatch(/^HTTP\/1\.1 101 /)
    expect(door.received).toMatchObject([
      { origin: 'web-socket-api', target: asked, headers: { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' } },
    ])
  })

  it.each([
    '/socket.io/?EIO=4&transport=polling',
    '/socket.io/',
    '/socket.io/?transport=polling&transport=websocket',
    '/live?transport=websocket',
    '/api/agents?transport=websocket',
    '/',
  ])('%s is refused before any origin', async (target) => {
    const door = await openDoor(assembly)
    expect(await door.raw(upgrade(target))).toMatch(/^HTTP\/1\.1 400 /)
    expect(door.received).toEqual([])
  })

  it.each([
    ['polling, then websocket', { transports: ['polling', 'websocket'] }, 'websocket'],
    ['websocket without a session', { transports: ['websocket'] }, 'websocket'],
    ['polling alone', { transports: ['polling'] }, 'polling'],
    ['without the slash', { transports: ['polling', 'websocket'], addTrailingSlash: false }, 'websocket'],
  ])('a Socket.IO client gets through: %s', async (_, options, transport) => {
    const inner = createServer()
    const server = new SocketIoServer(inner)
    server.on('connection', (socket) => socket.on('hello', (name) => socket.emit('hello', `hello ${name}`)))
    const door = await openDoor(assembly, {
      http: { handle: (request, response) => void inner.emit('request', request, response) },
      webSockets: {
        handleUpgrade(request, socket, head) {
          // Engine.IO's server looks for its own path, as the WebSocket API does for its stage.
          request.url = request.url?.replace(/^\/live/, '/socket.io/')
          inner.emit('upgrade', request, socket, head)
        },
      },
    })
    onTestFinished(() => server.close())
    const client = connected(door.url, options)
    const reply = new Promise((resolve) => client.once('hello', resolve))
    const upgraded = transportOf(client, transport)
    client.emit('hello', 'edge')
    expect(await reply).toBe('hello edge')
    await upgraded
    expect(door.received.some(({ origin }) => origin === 'web-socket-api')).toBe(transport === 'websocket')
    expect(door.failures).toEqual([])
  })
})

function connected(url: string, options: Partial<ManagerOptions>): Socket {
  const client = io(url, { forceNew: true, reconnection: false, ...options })
  onTestFinished(() => void client.disconnect())
  return client
}

/** Resolves when the client's transport is this one. */
function transportOf(client: Socket, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    client.on('connect_error', reject)
    client.once('connect', () => {
      const { engine } = client.io
      if (engine.transport.name === name) resolve()
      else engine.once('upgrade', () => resolve())
    })
  })
}
