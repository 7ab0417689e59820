import { once } from 'node:events'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createForward } from '../../../shared/adapters/existing-server/forward.ts'
import type { ForwardingFailed } from '../../../shared/domain/forwarding/errors.ts'
import type { ForwardRequest } from '../../../shared/domain/forwarding/ports.ts'
import { startRawServer } from './raw-server.ts'

let server: Awaited<ReturnType<typeof startRawServer>>
beforeAll(async () => {
  server = await startRawServer()
})
afterAll(() => server.close())

const request = (fields: Partial<ForwardRequest> = {}): ForwardRequest => ({
  method: 'GET',
  path: '/api/github/status',
  rawQuery: '',
  headers: {},
  cookies: [],
  body: Buffer.alloc(0),
  host: 'app.example.com',
  ...fields,
})
const send = (fields: Partial<ForwardRequest> = {}, timeoutMs?: number) =>
  createForward(server.url, timeoutMs)(request(fields))
const asked = () => {
  expect(server.asked).toHaveLength(1)
  return server.asked[0] as (typeof server.asked)[0]
}
const failure = async (sent: Promise<unknown>) =>
  sent.then(
    () => 'an answer',
    (error: ForwardingFailed) => error.failure,
  )

describe('the request', () => {
  it.each(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])('keeps the method %s', async (method) => {
    server.answerWith('HTTP/1.1 204 No Content\r\n\r\n')
    expect((await send({ method })).status).toBe(204)
    expect(asked().head[0]).toBe(`${method} /api/github/status HTTP/1.1`)
  })

  it.each([
    ['dots', '/api/../a/./b/..', '', '/api/../a/./b/..'],
    ['empty segments', '//evil.example/api', '', '//evil.example/api'],
    ['another server', 'http://evil.example/api', '', '/http://evil.example/api'],
    ['what was percent-encoded', '/a b/é?#%2e', '', '/a%20b/%C3%A9%3F%23%252e'],
    ['line breaks', '/a\r\nX: 1', '', '/a%0D%0AX:%201'],
    ['the raw query', '/api', 'a=%2F&b=+%20&&c=/?:@', '/api?a=%2F&b=+%20&&c=/?:@'],
    ['a query with what no query may hold', '/api', 'q=a b"\r\n\u00e9', '/api?q=a%20b%22%0D%0A%C3%A9'],
  ])('goes to the one server with its path, whatever is in it: %s', async (_, path, rawQuery, target) => {
    server.answerWith('HTTP/1.1 204 No Content\r\n\r\n')
    await send({ path, rawQuery })
    expect(asked().head[0]).toBe(`GET ${target} HTTP/1.1`)
    expect(asked().head).toContain(`host: ${new URL(server.url).host}`)
  })

  it('stays below the path of LEGACY_API_URL', async () => {
    server.answerWith('HTTP/1.1 204 No Content\r\n\r\n')
    await createForward(`${server.url}/covibes/`)(request({ path: '/api/x' }))
    expect(asked().head[0]).toBe('GET /covibes/api/x HTTP/1.1')
  })

  it('carries a body byte by byte', async () => {
    server.answerWith('HTTP/1.1 204 No Content\r\n\r\n')
    const body = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    await send({ method: 'POST', body, headers: { 'content-type': 'application/octet-stream' } })
    expect(asked().body.equals(body)).toBe(true)
    expect(asked().head).toContain('content-length: 256')
  })

  it('cannot smuggle a second one', async () => {
    server.answerWith('HTTP/1.1 204 No Content\r\n\r\n')
    const headers = {
      'content-length': '3',
      'transfer-encoding': 'chunked',
      connection: 'keep-alive, x-secret',
      'x-secret': 'of this hop',
      'x-broken': 'a\r\nContent-Length: 0',
      'bad name': 'x',
      upgrade: 'websocket',
      te: 'trailers',
      expect: '100-continue',
      host: 'evil.example',
    }
    await send({ method: 'POST', headers, body: Buffer.from('0\r\n\r\nGET /admin HTTP/1.1\r\n\r\n') })
    expect(asked().head.slice(1).sort()).toEqual([
      'Connection: close',
      'content-length: 28',
      `host: ${new URL(server.url).host}`,
      'x-forwarded-host: app.example.com',
      'x-forwarded-proto: https',
    ])
  })

  it('carries cookies, and who asked by which name; the client’s own word on that does not count', async () => {
    server.answerWith('HTTP/1.1 204 No Content\r\n\r\n')
    await send({
      cookies: ['connect.sid=s%3Aabc', 'theme=dark'],
      headers: {
        authorization: 'Bearer token',
        'x-forwarded-for': '203.0.113.7, 198.51.100.2',
        'x-forwarded-proto': 'ftp,http',
        'x-forwarded-host': 'evil.example',
      },
    })
    expect(asked().head).toEqual(
      expect.arrayContaining([
        'cookie: connect.sid=s%3Aabc; theme=dark',
        'authorization: Bearer token',
        'x-forwarded-for: 203.0.113.7, 198.51.100.2',
        'x-forwarded-proto: http',
        'x-forwarded-host: app.example.com',
      ]),
    )
  })
})

describe('the answer', () => {
  it('keeps status, headers, each cookie by itself, and the body', async () => {
    server.answerWith(
      'HTTP/1.1 418 Short\r\nContent-Type: text/plain\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT\r\n' +
        'Vary: a\r\nVary: b\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 3\r\n\r\nhot',
    )
    expect(await send()).toEqual({
      status: 418,
      headers: { 'content-type': 'text/plain', vary: 'a, b' },
      cookies: ['a=1; Path=/', 'b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT'],
      body: Buffer.from('hot'),
    })
  })

  it('is not followed when it is a redirect', async () => {
    server.answerWith('HTTP/1.1 302 Found\r\nLocation: https://github.com/login?x=%20\r\nContent-Length: 0\r\n\r\n')
    const { status, headers } = await send()
    expect([status, headers.location]).toEqual([302, 'https://github.com/login?x=%20'])
    expect(server.asked).toHaveLength(1)
  })

  it('stays compressed', async () => {
    const body = gzipSync('{"compressed":true}')
    server.answerWith(
      Buffer.concat([
        Buffer.from(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`),
        body,
      ]),
    )
    const answer = await send()
    expect([answer.headers['content-encoding'], answer.body.equals(body)]).toEqual(['gzip', true])
  })

  it('is put together when it comes in chunks', async () => {
    server.answerWith('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n')
    expect(await send()).toMatchObject({ headers: {}, body: Buffer.from('abcde') })
  })
})

describe('no answer', () => {
  it.each([
    ['nothing at all', ''],
    ['something else than HTTP', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['a head without end', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}`],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    ['less than it promised', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'],
    ['an upgrade nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'],
  ])('%s: unreachable', async (_, bytes) => {
    server.answerWith(bytes)
    expect(await failure(send())).toBe('unreachable')
    expect(server.asked).toHaveLength(1)
  })

  it('nobody listening: unreachable', async () => {
    const other = await startRawServer()
    await other.close()
    expect(await failure(createForward(other.url)(request()))).toBe('unreachable')
  })

  it.each([
    ['a head', ''],
    ['the rest of a body', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'],
  ])('waiting for %s ends: timeout', async (_, bytes) => {
    const closed = Promise.withResolvers<void>()
    server.answerWith((socket) => {
      socket.write(bytes)
      socket.once('close', () => closed.resolve())
    })
    expect(await failure(send({}, 200))).toBe('timeout')
    await closed.promise
  })

  it('more than a function may answer: cut off', async () => {
    let written = 0
    const closed = Promise.withResolvers<void>()
    server.answerWith((socket) => {
      socket.once('close', () => closed.resolve())
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
      const piece = `10000\r\n${'x'.repeat(0x10000)}\r\n`
      const more = () => {
        while (!socket.destroyed && written < 100_000_000 && socket.write(piece)) written += piece.length
      }
      socket.on('drain', more)
      more()
    })
    expect(await failure(send())).toBe('too-large')
    await closed.promise
    expect(written).toBeLessThan(50_000_000)
  })

  it('given up by the caller: aborted, and the server is let go', async () => {
    const begun = Promise.withResolvers<{ closed: Promise<unknown> }>()
    server.answerWith((socket) => begun.resolve({ closed: once(socket, 'close') }))
    const giveUp = new AbortController()
    const sent = failure(createForward(server.url)(request(), { signal: giveUp.signal }))
    const { closed } = await begun.promise
    giveUp.abort()
    expect(await sent).toBe('aborted')
    await closed
  })

  it('none configured: not-configured', async () => {
    expect(await failure(createForward(undefined)(request()))).toBe('not-configured')
  })
})
