import { once } from 'node:events'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { raw, startBareTask, startFixture, startTask, statuses } from './fixture.ts'

const JWT = `${Buffer.from('{"alg":"HS256","typ":"JWT"}').toString('base64url')}.eyJ1c2VySWQiOiJhZGEifQ.c2lnbmF0dXJl`

async function start(options = {}) {
  const task = await startTask((_, response) => response.end('page'))
  const fixture = await startFixture({ taskPort: task.port, ...options })
  const cookie = await fixture.member()
  const dial = (path = '/', headers: Record<string, string> = {}) =>
    new WebSocket(`ws://127.0.0.1:${fixture.gateway.port}${path}`, {
      headers: { host: fixture.host, cookie, ...headers },
    })
  return { task, ...fixture, cookie, dial }
}

/** Resolves with `open`, or with the status that refused it. */
const outcome = (socket: WebSocket): Promise<'open' | number | undefined> =>
  new Promise((resolve) => {
    socket.on('open', () => resolve('open'))
    socket.on('unexpected-response', (request, answer) => {
      resolve(answer.statusCode)
      request.destroy()
    })
    socket.on('error', () => resolve(undefined))
  })

const UPGRADE =
  'connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n'

describe('a WebSocket', () => {
  it('of a member is carried both ways, and the task sees neither cookie nor token', async () => {
    const { dial, task, host } = await start()
    const socket = dial(`/ws?token=${JWT}&a=1`, { origin: `https://${host}` })
    expect(await outcome(socket)).toBe('open')
    const echo = once(socket, 'message')
    socket.send('hello')
    expect(String((await echo)[0])).toBe('hello')
    const large = once(socket, 'message')
    socket.send('x'.repeat(1_000_000))
    expect(String((await large)[0])).toHaveLength(1_000_000)
    socket.close()
    const [seen] = task.seen.filter(({ method }) => method === 'UPGRADE')
    expect(seen?.url).toBe('/ws?a=1')
    expect(seen?.headers).toMatchObject({
      host: `localhost:${task.port}`,
      origin: `http://localhost:${task.port}`,
      forwarded: expect.stringContaining(host),
      'x-forwarded-proto': 'https',
    })
    expect(seen?.headers.cookie).toBeUndefined()
  })

  it("keeps a dev server's own token parameter (Vite checks it)", async () => {
    const { dial, task } = await start()
    expect(await outcome(dial('/?token=Jm5vdC1qd3Q'))).toBe('open')
    expect(task.seen.at(-1)?.url).toBe('/?token=Jm5vdC1qd3Q')
  })

  it('without a good cookie is refused, and the task hears nothing', async () => {
    const { dial, task, ticket, cookie } = await start()
    for (const other of ['', 'a=1', `${cookie.slice(0, -2)}AA`, `__Host-covibes-preview=${ticket()}`])
      expect(await outcome(dial('/', { cookie: other }))).toBe(403)
    expect(task.seen).toEqual([])
  })

  it('of a public preview is open to all', async () => {
    const { dial, directory, label, preview } = await start({ limits: { lookupTtlMs: 0 } })
    directory.items.set(label, { ...preview, public: true })
    expect(await outcome(dial('/', { cookie: '', origin: 'https://elsewhere.example' }))).toBe('open')
  })

  it("from another site's page is refused although the browser sends the cookie", async () => {
    const { dial, task, host } = await start()
    for (const origin of ['https://evil.example', 'null', `http://${host}`, `https://${host}:8443`])
      expect(await outcome(dial('/', { origin }))).toBe(403)
    expect(task.seen).toEqual([])
  })

  it('to a forged host, the gateway itself, or a preview that is not up is refused', async () => {
    const { dial, directory, label, preview } = await start({ limits: { lookupTtlMs: 0 } })
    expect(await outcome(dial('/', { host: 'evil.example' }))).toBe(421)
    expect(await outcome(dial('/__covibes/enter/x/'))).toBe(404)
    directory.items.set(label, { ...preview, status: 'starting' })
    expect(await outcome(dial())).toBe(503)
    directory.items.set(label, { ...preview, status: 'completed', idle: true })
    expect(await outcome(dial())).toBe(503)
    expect(directory.wakes).toEqual([])
    directory.failure = new Error('down')
    expect(await outcome(dial())).toBe(503)
  })

  it('that the task refuses is refused with its status, and ends', async () => {
    const { gateway, host, cookie } = await start()
    const answer = await raw(
      gateway.port,
      `GET /refused HTTP/1.1\r\nhost: ${host}\r\ncookie: ${cookie}\r\n${UPGRADE}\r\n`,
    )
    expect(statuses(answer)).toEqual([403])
    expect(answer).toMatch(/\r\nset-cookie: a=1; SameSite=None; Secure; Partitioned\r\n/)
    expect(answer).toMatch(/no$/)
  })

  it('whose task is gone is 502', async () => {
    const { dial, task } = await start()
    task.close()
    expect(await outcome(dial())).toBe(502)
  })

  it('with a body, or by another method, is refused', async () => {
    const { gateway, host, cookie, task } = await start()
    const head = `host: ${host}\r\ncookie: ${cookie}\r\n${UPGRADE}`
    for (const more of ['content-length: 5\r\n\r\nhello', 'transfer-encoding: chunked\r\n\r\n0\r\n\r\n'])
      expect(statuses(await raw(gateway.port, `GET / HTTP/1.1\r\n${head}${more}`))).toEqual([400])
    expect(statuses(await raw(gateway.port, `POST / HTTP/1.1\r\n${head}\r\n`))).toEqual([405])
    expect(task.seen).toEqual([])
  })

  it('of another protocol than WebSocket is an ordinary request', async () => {
    const { gateway, host, cookie, task } = await start()
    const answer = await raw(
      gateway.port,
      `GET / HTTP/1.1\r\nhost: ${host}\r\ncookie: ${cookie}\r\nconnection: Upgrade, HTTP2-Settings, close\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n`,
    )
    expect(statuses(answer)).toEqual([200])
    expect(task.seen[0]?.headers).not.toHaveProperty('upgrade')
    expect(task.seen[0]?.headers).not.toHaveProperty('http2-settings')
  })

  it('is no tunnel before the task has agreed: what follows a refused upgrade is not passed on', async () => {
    const task = await startBareTask((_, socket) => {
      setImmediate(() => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno'))
    })
    const { gateway, host, member } = await startFixture({ taskPort: task.port })
    const cookie = await member()
    const answer = await raw(
      gateway.port,
      `GET / HTTP/1.1\r\nhost: ${host}\r\ncookie: ${cookie}\r\n${UPGRADE}\r\nGET /smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n`,
    )
    expect(statuses(answer)).toEqual([200])
    expect(task.received.join('')).not.toContain('smuggled')
  })

  it('refused with an endless body does not fill the memory of the gateway', async () => {
    const closed = Promise.withResolvers<void>()
    const task = await startBareTask((_, socket) => {
      socket.on('close', () => closed.resolve())
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
      const more = () => {
        while (!socket.destroyed && socket.write(`10000\r\n${'a'.repeat(65_536)}\r\n`));
      }
      socket.on('drain', more)
      more()
    })
    const { gateway, host, member } = await startFixture({ taskPort: task.port })
    const visitor = connect(gateway.port, '127.0.0.1')
    visitor.on('error', () => undefined)
    // Never reads.
    visitor.pause()
    visitor.write(`GET / HTTP/1.1\r\nhost: ${host}\r\ncookie: ${await member()}\r\n${UPGRADE}\r\n`)
    await closed.promise
    visitor.destroy()
  })

  it('ends at the task when the browser goes, and at the browser when the task goes', async () => {
    const { dial, task } = await start()
    const first = dial()
    const atTask = once(task.sockets, 'connection')
    expect(await outcome(first)).toBe('open')
    const [client] = (await atTask) as [WebSocket]
    const gone = once(client, 'close')
    first.terminate()
    await gone

    const second = dial()
    expect(await outcome(second)).toBe('open')
    const closed = once(second, 'close')
    for (const open of task.sockets.clients) open.terminate()
    await closed
  })

  it('whose browser goes during the handshake leaves nothing open at the task for long', async () => {
    const arrived = Promise.withResolvers<void>()
    const closed = Promise.withResolvers<void>()
    const task = await startBareTask((_, socket) => {
      socket.on('close', () => closed.resolve())
      arrived.resolve()
    })
    // Nobody reads from the browser's socket before the task has answered, so its end is not seen: the handshake's own bound counts.
    const { gateway, host, member } = await startFixture({ taskPort: task.port, limits: { answerMs: 300 } })
    const visitor = connect(gateway.port, '127.0.0.1')
    visitor.write(`GET / HTTP/1.1\r\nhost: ${host}\r\ncookie: ${await member()}\r\n${UPGRADE}\r\n`)
    await arrived.promise
    visitor.destroy()
    await closed.promise
    expect(task.open.size).toBe(0)
  })

  it('under way when the gateway ends leaves nothing open at the task', async () => {
    const arrived = Promise.withResolvers<void>()
    const closed = Promise.withResolvers<void>()
    const task = await startBareTask((_, socket) => {
      socket.on('close', () => closed.resolve())
      arrived.resolve()
    })
    const { gateway, host, member } = await startFixture({ taskPort: task.port })
    const visitor = connect(gateway.port, '127.0.0.1')
    visitor.write(`GET / HTTP/1.1\r\nhost: ${host}\r\ncookie: ${await member()}\r\n${UPGRADE}\r\n`)
    await arrived.promise
    await gateway.close()
    await closed.promise
    visitor.destroy()
  })

  it('ends when the cookie that opened it has expired', async () => {
    let now = Date.now()
    const task = await startTask((_, response) => response.end())
    const { gateway, host, member } = await startFixture({
      taskPort: task.port,
      now: () => now,
      limits: { lookAgainMs: 20 },
    })
    const cookie = await member()
    now += 24 * 60 * 60_000 - 100
    const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/`, { headers: { host, cookie } })
    expect(await outcome(socket)).toBe('open')
    now += 100
    await once(socket, 'close')
  })

  it('that neither side says anything on for long is cut', async () => {
    const { dial } = await start({ limits: { silenceMs: 200 } })
    const socket = dial()
    expect(await outcome(socket)).toBe('open')
    await once(socket, 'close')
  })

  it('leaves nothing open at a task that never closes its side, nor for a visitor who does not', async () => {
    const accepted = 'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n'
    for (const who of ['task', 'visitor'] as const) {
      const open: Socket[] = []
      const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
        open.push(socket)
        socket.on('error', () => undefined)
        socket.once('data', () => socket.write(accepted))
      }).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { gateway, host, member } = await startFixture({
        taskPort: (server.address() as AddressInfo).port,
        limits: { lingerMs: 100 },
      })
      const visitor = connect({ port: gateway.port, host: '127.0.0.1', allowHalfOpen: true })
      visitor.on('error', () => undefined)
      visitor.write(`GET / HTTP/1.1\r\nhost: ${host}\r\ncookie: ${await member()}\r\n${UPGRADE}\r\n`)
      await once(visitor, 'data')
      const [atTask] = open
      if (!atTask) throw new Error('nothing came to the task')
      const [goes, stays] = who === 'task' ? [visitor, atTask] : [atTask, visitor]
      goes.destroy()
      // Cut, not ended: what it writes then is answered with a reset.
      await once(stays.resume(), 'end')
      await expect
        .poll(() => {
          if (!stays.destroyed) stays.write('still here')
          return stays.destroyed
        })
        .toBe(true)
      visitor.destroy()
      atTask.destroy()
      server.close()
    }
  })

  it('is bounded in number for one preview', async () => {
    const { dial } = await start({ limits: { socketsPerPreview: 2 } })
    const open = [dial(), dial()]
    for (const socket of open) expect(await outcome(socket)).toBe('open')
    expect(await outcome(dial())).toBe(503)
    const closed = once(open[0] as WebSocket, 'close')
    open[0]?.close()
    await closed
    // The place is free when the gateway has seen the end, too.
    while ((await outcome(dial())) !== 'open');
  })

  it('counts as a visit when it opens and when something of size passes, not for its heartbeats', async () => {
    let now = Date.now()
    const { dial, directory, label } = await start({ now: () => now })
    const socket = dial()
    expect(await outcome(socket)).toBe('open')
    expect(directory.visits).toEqual([label])
    now += 60_000
    const beat = once(socket, 'message')
    socket.send('ping')
    await beat
    expect(directory.visits).toHaveLength(1)
    const update = once(socket, 'message')
    socket.send('x'.repeat(2_000))
    await update
    expect(directory.visits).toHaveLength(2)
  })
})
