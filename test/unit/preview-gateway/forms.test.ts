/** Forms that requests and answers take on the wire: each passes as it is, or is said not to. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { raw, startBareTask, startFixture, startTask, statuses } from './fixture.ts'

async function start(handle: Parameters<typeof startTask>[0]) {
  const task = await startTask(handle)
  const fixture = await startFixture({ taskPort: task.port })
  const cookie = await fixture.member()
  return { task, ...fixture, cookie, head: `host: ${fixture.host}\r\ncookie: ${cookie}\r\nconnection: close\r\n` }
}

/** In front of a task that answers every request with `bytes`. */
async function startBare(bytes: string) {
  const task = await startBareTask((_, socket) => void socket.write(bytes, 'latin1'))
  const fixture = await startFixture({ taskPort: task.port })
  return { ...fixture, headers: { cookie: await fixture.member() } }
}

describe('an answer', () => {
  it('to HEAD has the length of the body, and none', async () => {
    const { gateway, head } = await start((_, response) => response.writeHead(200, { 'content-length': 4 }).end())
    const answer = await raw(gateway.port, `HEAD / HTTP/1.1\r\n${head}\r\n`)
    expect(answer).toMatch(/\r\ncontent-length: 4\r\n/)
    expect(answer).toMatch(/\r\n\r\n$/)
  })

  it.each([204, 304])('of status %i has no body and no length of one', async (status) => {
    const { gateway, head, task } = await start((_, response) => response.writeHead(status, { etag: '"a"' }).end())
    const answer = await raw(gateway.port, `GET / HTTP/1.1\r\n${head}if-none-match: "a"\r\n\r\n`)
    expect(statuses(answer)).toEqual([status])
    expect(answer).toMatch(/etag: "a"[\s\S]*\r\n\r\n$/i)
    expect(answer).not.toMatch(/transfer-encoding/i)
    expect(task.seen[0]?.headers['if-none-match']).toBe('"a"')
  })

  it('to a range is that range', async () => {
    const { ask, cookie, task } = await start((_, response) =>
      response.writeHead(206, { 'content-range': 'bytes 2-3/10', 'content-length': 2 }).end('cd'),
    )
    const answer = await ask('/movie.mp4', { headers: { cookie, range: 'bytes=2-3', 'if-range': '"a"' } })
    expect([answer.status, answer.body, answer.headers['content-range']]).toEqual([206, 'cd', 'bytes 2-3/10'])
    expect(task.seen[0]?.headers).toMatchObject({ range: 'bytes=2-3', 'if-range': '"a"' })
  })

  it('that is compressed comes piece by piece, byte for byte', async () => {
    const bytes = gzipSync('x'.repeat(10_000))
    const { gateway, head } = await start((_, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' })
      response.write(bytes.subarray(0, 10))
      setImmediate(() => response.end(bytes.subarray(10)))
    })
    const answer = await raw(gateway.port, `GET / HTTP/1.1\r\n${head}accept-encoding: gzip\r\n\r\n`)
    expect(answer).toMatch(/content-encoding: gzip/i)
    const body = answer.slice(answer.indexOf('\r\n\r\n') + 4)
    const plain = gunzipSync(Buffer.from(unchunked(body), 'latin1'))
    expect(plain.toString()).toBe('x'.repeat(10_000))
  })

  it('with trailers comes without them', async () => {
    const { ask, headers } = await startBare(
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\nset-cookie: __Host-covibes-preview=a\r\n\r\n',
    )
    const answer = await ask('/', { headers })
    expect([answer.body, answer.complete, answer.headers.trailer]).toEqual(['ok', true, undefined])
    expect((await ask('/again', { headers })).body).toBe('ok')
  })

  it('after informational ones is the only one', async () => {
    const { gateway, host, headers } = await startBare(
      'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nset-cookie: a=1\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
    )
    const answer = await raw(
      gateway.port,
      `GET / HTTP/1.1\r\nhost: ${host}\r\ncookie: ${headers.cookie}\r\nconnection: close\r\n\r\n`,
    )
    expect(statuses(answer)).toEqual([200])
    expect(answer).not.toMatch(/early|preload|a=1/i)
  })

  it('to HTTP/1.0 ends with its connection, and is not in chunks', async () => {
    const { gateway, host, cookie } = await start((_, response) => {
      response.write('pi')
      response.end('ece')
    })
    const answer = await raw(gateway.port, `GET / HTTP/1.0\r\nhost: ${host}\r\ncookie: ${cookie}\r\n\r\n`)
    expect(statuses(answer)).toEqual([200])
    expect(answer).toMatch(/\r\n\r\npiece$/)
    expect(answer).toMatch(/connection: close/i)
  })
})

describe('a body', () => {
  it.each([
    ['in chunks', 'transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n'],
    ['with a length', 'content-length: 1000\r\n\r\nhello'],
    ['that asks first', 'expect: 100-continue\r\ncontent-length: 1000\r\n\r\n'],
  ])('%s for a server that is gone is 502, and the connection ends', async (_, rest) => {
    const gone = createServer().listen(0, '127.0.0.1')
    await once(gone, 'listening')
    const { port } = gone.address() as import('node:net').AddressInfo
    await new Promise((resolve) => gone.close(resolve))
    const { gateway, host, member } = await startFixture({ taskPort: port })
    const answer = await raw(gateway.port, `POST / HTTP/1.1\r\nhost: ${host}\r\ncookie: ${await member()}\r\n${rest}`)
    expect(statuses(answer).filter((status) => status !== 100)).toEqual([502])
    expect(answer).toMatch(/connection: close/i)
  })

  it('that stops coming is 504, and its request ends at the task', async () => {
    const ended = Promise.withResolvers<void>()
    const task = await startTask((incoming) => {
      incoming.on('error', () => undefined)
      incoming.on('close', () => ended.resolve())
    })
    const { gateway, host, member } = await startFixture({ taskPort: task.port, limits: { answerMs: 200 } })
    const answer = await raw(
      gateway.port,
      `POST / HTTP/1.1\r\nhost: ${host}\r\ncookie: ${await member()}\r\ncontent-length: 1000\r\n\r\nhello`,
    )
    expect(statuses(answer)).toEqual([504])
    await ended.promise
  })
})

describe('a WebSocket', () => {
  it('agrees with the task on a subprotocol, and leaves what it offers as an extension to the two', async () => {
    const { gateway, host, cookie, task } = await start((_, response) => response.end())
    const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/`, ['vite-hmr', 'other'], {
      headers: { host, cookie },
    })
    await once(socket, 'open')
    expect(socket.protocol).toBe('vite-hmr')
    expect(task.seen[0]?.headers).toMatchObject({
      'sec-websocket-protocol': 'vite-hmr,other',
      'sec-websocket-extensions': expect.stringContaining('permessage-deflate'),
    })
    socket.close()
    await once(socket, 'close')
  })

  it('loses nothing that comes together with the answer that opens it', async () => {
    const accepted = (key: string) =>
      createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    const task = await startBareTask((piece, socket) => {
      const key = /sec-websocket-key: (\S+)/i.exec(piece)?.[1]
      if (key === undefined) return
      const head = `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accepted(key)}\r\n\r\n`
      socket.write(`${head}\x81\x05hello`, 'latin1')
    })
    const { gateway, host, member } = await startFixture({ taskPort: task.port })
    const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/`, { headers: { host, cookie: await member() } })
    const [message] = (await once(socket, 'message')) as [Buffer]
    expect(message.toString()).toBe('hello')
    socket.terminate()
  })

  it('closes with the code and words of the task', async () => {
    const { gateway, host, cookie, task } = await start((_, response) => response.end())
    task.sockets.on('connection', (client: WebSocket) => client.close(4001, 'enough'))
    const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/`, { headers: { host, cookie } })
    const [code, reason] = (await once(socket, 'close')) as [number, Buffer]
    expect([code, reason.toString()]).toEqual([4001, 'enough'])
  })
})

function unchunked(body: string): string {
  let rest = body
  let whole = ''
  for (;;) {
    const length = Number.parseInt(rest, 16)
    const at = rest.indexOf('\r\n') + 2
    if (!length) return whole
    whole += rest.slice(at, at + length)
    rest = rest.slice(at + length + 2)
  }
}
