import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { newPreviewLabel } from '../../../shared/domain/previews/signatures.ts'
import { DOMAIN, raw, startBareTask, startFixture, startTask, statuses } from './fixture.ts'

async function start(limits = {}) {
  const task = await startTask((request, response) => {
    request.resume()
    response.end(`page ${request.url}`)
  })
  const fixture = await startFixture({ taskPort: task.port, limits })
  const cookie = await fixture.member()
  return { task, ...fixture, cookie, head: `host: ${fixture.host}\r\ncookie: ${cookie}\r\n` }
}

/** In front of a task whose every byte is the test's. */
async function startBare(onRequest: Parameters<typeof startBareTask>[0], limits = {}) {
  const task = await startBareTask(onRequest)
  const fixture = await startFixture({ taskPort: task.port, limits })
  return { task, ...fixture, headers: { cookie: await fixture.member() } }
}

describe('the host', () => {
  const label = newPreviewLabel('main')
  const cases: readonly [what: string, lines: string, status: number][] = [
    ['another domain', 'host: evil.example', 421],
    ['the domain itself', `host: ${DOMAIN}`, 421],
    ['two labels below', `host: a.${label}.${DOMAIN}`, 421],
    ['the domain as a suffix only', `host: ${label}.${DOMAIN}.evil.example`, 421],
    ['the domain without its dot', `host: ${label}${DOMAIN}`, 421],
    ['upper case', `host: ${label.toUpperCase()}.${DOMAIN}`, 421],
    ['a final dot', `host: ${label}.${DOMAIN}.`, 421],
    ['a port that is none', `host: ${label}.${DOMAIN}:99999`, 421],
    ['a port of letters', `host: ${label}.${DOMAIN}:80a`, 421],
    ['credentials', `host: a@${label}.${DOMAIN}`, 421],
    ['a path', `host: ${label}.${DOMAIN}/x`, 421],
    ['a list', `host: ${label}.${DOMAIN}, evil.example`, 421],
    ['an address', 'host: 127.0.0.1', 421],
    ['nothing', 'host:', 421],
    ['a label that no preview has', `host: www.${DOMAIN}`, 404],
    ['a preview that does not exist', `host: ${label}.${DOMAIN}`, 404],
    ['a preview that does not exist, with a port', `host: ${label}.${DOMAIN}:8443`, 404],
    ['two hosts', `host: ${label}.${DOMAIN}\r\nhost: ${label}.${DOMAIN}`, 400],
    ['two hosts in two spellings', `Host: ${label}.${DOMAIN}\r\nHOST: evil.example`, 400],
    ['no host', 'x-host: a', 400],
  ]
  it.each(cases)('%s is refused', async (_, lines, status) => {
    const { gateway, task } = await start()
    const answer = await raw(gateway.port, `GET / HTTP/1.1\r\n${lines}\r\nconnection: close\r\n\r\n`)
    expect(statuses(answer)).toEqual([status])
    expect(task.seen).toEqual([])
  })

  it.each(['http://HOST/', 'http://evil.example/', '*', 'HOST:80', '\\'])(
    'is not taken from the request target: %s',
    async (target) => {
      const { gateway, task, head, host } = await start()
      const answer = await raw(
        gateway.port,
        `OPTIONS ${target.replace('HOST', host)} HTTP/1.1\r\n${head}connection: close\r\n\r\n`,
      )
      expect(statuses(answer)).toEqual([400])
      expect(task.seen).toEqual([])
    },
  )

  it('is not taken from a CONNECT', async () => {
    const { gateway, task, head } = await start()
    expect(await raw(gateway.port, `CONNECT 127.0.0.1:${task.port} HTTP/1.1\r\n${head}\r\n`)).not.toContain(' 200 ')
    expect(task.seen).toEqual([])
  })
})

describe('smuggling', () => {
  const smuggled = 'GET /smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n'
  const cases: readonly [what: string, request: string][] = [
    [
      'length and chunks',
      `POST / HTTP/1.1\r\nHEADcontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    [
      'chunks and length',
      `POST / HTTP/1.1\r\nHEADtransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n${smuggled}`,
    ],
    ['two lengths', `POST / HTTP/1.1\r\nHEADcontent-length: 0\r\ncontent-length: 44\r\n\r\n${smuggled}`],
    ['two equal lengths', `POST / HTTP/1.1\r\nHEADcontent-length: 0\r\ncontent-length: 0\r\n\r\n${smuggled}`],
    ['a list of lengths', `POST / HTTP/1.1\r\nHEADcontent-length: 0, 44\r\n\r\n${smuggled}`],
    ['a signed length', `POST / HTTP/1.1\r\nHEADcontent-length: +0\r\n\r\n${smuggled}`],
    ['a hexadecimal length', `POST / HTTP/1.1\r\nHEADcontent-length: 0x0\r\n\r\n${smuggled}`],
    ['an unknown coding', `POST / HTTP/1.1\r\nHEADtransfer-encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`],
    ['chunked not last', `POST / HTTP/1.1\r\nHEADtransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`],
    ['a space before the colon', `POST / HTTP/1.1\r\nHEADcontent-length : 44\r\n\r\n${smuggled}`],
    [
      'a folded line',
      `POST / HTTP/1.1\r\nHEADx: a\r\n transfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n${smuggled}`,
    ],
    ['a bare CR', `POST / HTTP/1.1\r\nHEADx: a\rtransfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n${smuggled}`],
    ['a bare LF', `POST / HTTP/1.1\nHEADcontent-length: 0\n\n${smuggled}`],
    ['a NUL in a header', `POST / HTTP/1.1\r\nHEADx: a\0b\r\ncontent-length: 0\r\n\r\n${smuggled}`],
    ['a chunk size that is none', `POST / HTTP/1.1\r\nHEADtransfer-encoding: chunked\r\n\r\n0x0\r\n\r\n${smuggled}`],
    [
      'a chunk longer than said',
      `POST / HTTP/1.1\r\nHEADtransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n${smuggled}`,
    ],
    ['a bare LF after a chunk size', `POST / HTTP/1.1\r\nHEADtransfer-encoding: chunked\r\n\r\n0\n\n${smuggled}`],
    ['an unknown version', `GET / HTTP/2.1\r\nHEAD\r\n${smuggled}`],
    ['a target that is not ASCII', `GET /\u00e9 HTTP/1.1\r\nHEAD\r\n${smuggled}`],
    ['a target with a space', `GET /a b HTTP/1.1\r\nHEAD\r\n${smuggled}`],
    ['TLS', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003'],
  ]
  it.each(cases)('%s: refused, and nothing behind it is answered', async (_, request) => {
    const { gateway, task, head, ask, cookie } = await start()
    const answer = await raw(gateway.port, request.replace('HEAD', head))
    expect(task.seen.map(({ url }) => url)).not.toContain('/smuggled')
    expect(statuses(answer)).toHaveLength(1)
    expect(statuses(answer)[0]).toBe(400)
    expect((await ask('/after', { headers: { cookie } })).body).toBe('page /after')
  })

  it('with a body that the proxy library would announce as none: refused', async () => {
    const { gateway, task, head } = await start()
    for (const method of ['DELETE', 'OPTIONS']) {
      const chunk = `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`
      const answer = await raw(
        gateway.port,
        `${method} / HTTP/1.1\r\n${head}transfer-encoding: chunked\r\n\r\n${chunk}`,
      )
      expect(statuses(answer)).toEqual([411])
    }
    expect(task.seen).toEqual([])
  })

  it('bodies of all methods that have one arrive whole, and nothing of them as a request', async () => {
    const bodies: string[] = []
    const task = await startTask((request, response) => {
      let body = ''
      request.on('data', (piece) => {
        body += piece
      })
      request.on('end', () => {
        bodies.push(`${request.method} ${body}`)
        response.end()
      })
    })
    const { ask, member, gateway, host } = await startFixture({ taskPort: task.port })
    const cookie = await member()
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS'])
      expect(
        (await ask('/', { method, headers: { cookie, 'content-length': String(smuggled.length) }, body: smuggled }))
          .status,
      ).toBe(200)
    const chunk = `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`
    for (const method of ['GET', 'POST'])
      await raw(
        gateway.port,
        `${method} / HTTP/1.1\r\nhost: ${host}\r\ncookie: ${cookie}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n${chunk}`,
      )
    expect(bodies).toEqual(
      ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'GET', 'POST'].map((method) => `${method} ${smuggled}`),
    )
  })
})

describe('too much', () => {
  it('of headers is 431, and the gateway goes on', async () => {
    const { gateway, task, head, ask, cookie } = await start()
    const answer = await raw(gateway.port, `GET / HTTP/1.1\r\n${head}x: ${'a'.repeat(20_000)}\r\n\r\n`)
    expect(statuses(answer)).toEqual([431])
    const many = Array.from({ length: 3_000 }, (_, index) => `x${index}: 1`).join('\r\n')
    expect(statuses(await raw(gateway.port, `GET / HTTP/1.1\r\n${head}${many}\r\n\r\n`))).toEqual([431])
    expect(statuses(await raw(gateway.port, `GET /${'a'.repeat(20_000)} HTTP/1.1\r\n${head}\r\n`))).toEqual([431])
    expect(task.seen).toEqual([])
    expect((await ask('/', { headers: { cookie } })).status).toBe(200)
  })

  it('time for the headers is 408, also when nothing is said at all', async () => {
    const { gateway, head } = await start({ headersMs: 300 })
    const slow = raw(gateway.port, `GET / HTTP/1.1\r\n${head}`)
    const silent = raw(gateway.port, '')
    expect(statuses(await slow)).toEqual([408])
    expect(statuses(await silent)).toEqual([408])
  })

  it('of one preview at once is 503, and leaves the others alone', async () => {
    const task = await startTask((request, response) => {
      if (request.url !== '/held') response.end('free')
    })
    const { ask, member, directory, preview, gateway, host, entrance, ticket } = await startFixture({
      taskPort: task.port,
      limits: { requestsPerPreview: 2 },
    })
    const cookie = await member()
    const held = [0, 1].map(() => {
      const socket = connect(gateway.port, '127.0.0.1')
      socket.on('error', () => undefined)
      socket.write(`GET /held HTTP/1.1\r\nhost: ${host}\r\ncookie: ${cookie}\r\n\r\n`)
      return socket
    })
    while (task.seen.length < 2) await once(task.server, 'request')
    const refused = await ask('/', { headers: { cookie } })
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '2'])
    const other = newPreviewLabel('main')
    directory.items.set(other, { ...preview, branch: 'main' })
    const entered = await ask(entrance(ticket({ label: other })), { host: `${other}.${DOMAIN}` })
    const free = {
      host: `${other}.${DOMAIN}`,
      headers: { cookie: entered.headers['set-cookie']?.[0]?.split(';')[0] ?? '' },
    }
    expect((await ask('/', free)).body).toBe('free')
    for (const socket of held) socket.destroy()
    while ((await ask('/', { headers: { cookie } })).status !== 200);
  })
})

describe('requests sent ahead of the answers before', () => {
  it('are passed one by one, and answered in order', async () => {
    const answers: (() => void)[] = []
    const { task, host, member, gateway } = await (async () => {
      const slow = await startTask((request, response) => answers.push(() => response.end(`page ${request.url}`)))
      return { task: slow, ...(await startFixture({ taskPort: slow.port })) }
    })()
    const cookie = await member()
    const line = (path: string, more = '') =>
      `GET ${path} HTTP/1.1\r\nhost: ${host}\r\ncookie: ${cookie}\r\n${more}\r\n`
    const all = raw(gateway.port, line('/1') + line('/2') + line('/3', 'connection: close\r\n'))
    for (const path of ['/1', '/2', '/3']) {
      await expect.poll(() => answers.length).toBe(1)
      expect(task.seen.at(-1)?.url).toBe(path)
      answers.shift()?.()
    }
    expect([...(await all).matchAll(/page \/\d/g)].map(([page]) => page)).toEqual(['page /1', 'page /2', 'page /3'])
  })

  it('leave nothing behind when the connection goes', async () => {
    const held = Promise.withResolvers<void>()
    const task = await startTask((request, response) => {
      if (request.url === '/held') held.resolve()
      else response.end('free')
    })
    const { ask, member, gateway, host } = await startFixture({
      taskPort: task.port,
      limits: { requestsPerPreview: 2 },
    })
    const cookie = await member()
    const request = `GET /held HTTP/1.1\r\nhost: ${host}\r\ncookie: ${cookie}\r\n\r\n`
    const socket = connect(gateway.port, '127.0.0.1')
    socket.write(request.repeat(4))
    await held.promise
    socket.destroy()
    await expect
      .poll(async () =>
        (await Promise.all([0, 1].map(() => ask('/', { headers: { cookie } })))).map(({ body }) => body),
      )
      .toEqual(['free', 'free'])
    expect(task.seen.filter(({ url }) => url === '/held')).toHaveLength(1)
  })

  it('are cut when they are too many, and an upgrade among them is', async () => {
    const task = await startTask(() => undefined)
    const { member, gateway, host } = await startFixture({ taskPort: task.port, limits: { pipelined: 3 } })
    const head = `host: ${host}\r\ncookie: ${await member()}\r\n`
    const request = `GET / HTTP/1.1\r\n${head}\r\n`
    expect(await raw(gateway.port, request.repeat(10))).toBe('')
    const upgrade = `GET / HTTP/1.1\r\n${head}connection: upgrade\r\nupgrade: websocket\r\n\r\n`
    expect(await raw(gateway.port, request + upgrade)).toBe('')
    expect(task.seen.filter(({ method }) => method === 'UPGRADE')).toEqual([])
  })
})

describe('a task that', () => {
  const ok = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'

  it('does not answer in time is 504', async () => {
    const { ask, headers } = await startBare(() => undefined, { answerMs: 200 })
    expect((await ask('/', { headers })).status).toBe(504)
  })

  it('does not take the connection in time is 502', async () => {
    const { ask, headers, directory, label, preview } = await startBare(() => undefined, {
      connectMs: 200,
      answerMs: 2_000,
      lookupTtlMs: 0,
    })
    // TEST-NET-1 (RFC 5737): nobody is there. Networks differ in how they say so; one that accepts for everybody makes it 504.
    directory.items.set(label, { ...preview, address: '192.0.2.1', port: 5000 })
    const answer = await ask('/', { headers })
    expect([502, 504]).toContain(answer.status)
  })

  it('stops in the middle of its answer is cut, not ended', async () => {
    for (const head of ['content-length: 100', 'transfer-encoding: chunked']) {
      const { ask, headers } = await startBare((_, socket) => {
        socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n${head.startsWith('c') ? 'half' : '4\r\nhalf\r\n'}`, () =>
          socket.destroy(),
        )
      })
      const answer = await ask('/', { headers })
      expect([answer.status, answer.body, answer.complete]).toEqual([200, 'half', false])
    }
  })

  it('falls silent in the middle of its answer is cut', async () => {
    const { ask, headers } = await startBare(
      (_, socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'),
      { bodyMs: 200 },
    )
    expect(await ask('/', { headers })).toMatchObject({ body: 'half', complete: false })
  })

  it.each([
    ['closes at once', ''],
    ['speaks another protocol', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['sends two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok'],
    ['sends length and chunks', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nok'],
    ['sends endless headers', `HTTP/1.1 200 OK\r\nx: ${'a'.repeat(40_000)}\r\n\r\nok`],
    ['sends a status that is none', 'HTTP/1.1 099 Odd\r\ncontent-length: 2\r\n\r\nok'],
    ['sends a status out of range', 'HTTP/1.1 999 Odd\r\ncontent-length: 2\r\n\r\nok'],
    [
      'switches protocols unasked',
      'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n',
    ],
    ['folds a header', 'HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 2\r\n\r\nok'],
  ])('%s is 502, and the gateway goes on', async (_, bytes) => {
    let broken = true
    const { ask, headers } = await startBare(
      (__, socket) => {
        if (broken) socket.end(bytes)
        else socket.end(ok)
      },
      { answerMs: 1_000 },
    )
    const answer = await ask('/', { headers })
    expect(answer.status).toBe(502)
    broken = false
    expect((await ask('/', { headers })).body).toBe('ok')
  })

  it('sends a reason phrase that cannot be written is passed without it', async () => {
    const { ask, headers } = await startBare((_, socket) =>
      socket.end(`HTTP/1.1 200 \u0001\u00ff\r\ncontent-length: 2\r\n\r\nok`),
    )
    expect((await ask('/', { headers })).body).toBe('ok')
  })

  it('answers before the body has come, and closes, is heard', async () => {
    const { gateway, host, headers } = await startBare((_, socket) =>
      socket.end('HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno'),
    )
    const answer = await raw(
      gateway.port,
      `POST / HTTP/1.1\r\nhost: ${host}\r\ncookie: ${headers.cookie}\r\ncontent-length: 100000\r\nconnection: close\r\n\r\nstart`,
    )
    expect(statuses(answer)).toEqual([413])
  })

  it('is asked by as many visitors at once as are let through is connected to once for each', async () => {
    const at = 24
    const task = await startTask((_, response) => response.end('ok'))
    let connections = 0
    task.server.on('connection', () => {
      connections += 1
    })
    const { ask, member } = await startFixture({ taskPort: task.port })
    const headers = { cookie: await member() }
    for (let round = 0; round < 5; round += 1)
      await Promise.all(Array.from({ length: at }, () => ask('/', { headers })))
    expect(connections).toBeLessThanOrEqual(at)
  })

  it('closed a kept connection just before it was used again is asked once more', async () => {
    const requests: string[] = []
    const { ask, headers, task } = await startBare((piece, socket) => {
      requests.push(piece.split(' ')[1] ?? '')
      // The second request on a connection meets its end.
      if (piece.startsWith('GET /second') && requests.filter((path) => path === '/second').length === 1)
        socket.resetAndDestroy()
      else socket.write(ok)
    })
    expect((await ask('/first', { headers })).body).toBe('ok')
    expect((await ask('/second', { headers })).body).toBe('ok')
    expect(requests).toEqual(['/first', '/second', '/second'])
    expect(task.received).toHaveLength(3)
  })
})
