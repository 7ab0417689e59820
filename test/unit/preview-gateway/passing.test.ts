import { once } from 'node:events'
import { request } from 'node:http'
import { describe, expect, it } from 'vitest'
import { APP, raw, startFixture, startTask } from './fixture.ts'

type Handle = Parameters<typeof startTask>[0]
async function start(handle: Handle = (_, response) => response.end('ok'), options = {}) {
  const task = await startTask(handle)
  const fixture = await startFixture({ taskPort: task.port, limits: { lookupTtlMs: 0 }, ...options })
  const cookie = await fixture.member()
  return { task, ...fixture, headers: { cookie } }
}

describe('a request on its way to the task', () => {
  it.each([
    '/a/../b',
    '/a/./b//c',
    '/%2e%2e/%2Fetc/passwd',
    '/a%00b',
    '//double',
    '/back\\slash',
    '/q?',
    '/q?a=b?c=d&&=&e',
    "/;p=1/'!*()",
    '/%zz%',
    '/caf%C3%A9?%C3%A9=%20+',
  ])('has its path byte for byte: %s', async (path) => {
    const { gateway, host, task, headers } = await start()
    await raw(
      gateway.port,
      `GET ${path} HTTP/1.1\r\nhost: ${host}\r\ncookie: ${headers.cookie}\r\nconnection: close\r\n\r\n`,
    )
    expect(task.seen.map(({ url }) => url)).toEqual([path])
  })

  it.each([
    '/__covibes',
    '/__covibes/',
    '/__covibes/enter',
    '/__COVIBES/x',
    '/%5F_covibes/x',
    '/%5f%5fcovibes/x',
    '/__covibe%73/x',
    '/%255f_covibes/x',
    '/%25255f_covibes/x',
    '//__covibes/x',
    '/a/../__covibes/x',
    '/a/%2e%2e/__covibes/x',
    '/a%2F..%2F__covibes%2Fx',
    '/\\__covibes/x',
    '/__covibes;a=b/x',
    '/__covibes%3fx',
    '/__covibes%00/x',
    '/%2525252525255f',
  ])("is not passed when its path may be read as the gateway's own: %s", async (path) => {
    const { gateway, host, task, headers } = await start()
    const answer = await raw(
      gateway.port,
      `GET ${path} HTTP/1.1\r\nhost: ${host}\r\ncookie: ${headers.cookie}\r\nconnection: close\r\n\r\n`,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 404 /)
    expect(task.seen).toEqual([])
  })

  it('says what the dev server has to believe: localhost everywhere, the real host where none reads it unasked', async () => {
    const { ask, task, host, headers } = await start()
    await ask('/', {
      headers: {
        ...headers,
        authorization: 'Bearer theirs',
        origin: `https://${host}`,
        'x-forwarded-for': '6.6.6.6',
        'x-forwarded-host': 'forged.example',
        'x-forwarded-proto': 'gopher',
        'x-forwarded-prefix': '/forged',
        forwarded: 'for=6.6.6.6',
        'x-real-ip': '6.6.6.6',
      },
    })
    expect(task.seen[0]?.headers).toEqual({
      host: `localhost:${task.port}`,
      origin: `http://localhost:${task.port}`,
      authorization: 'Bearer theirs',
      forwarded: `for="127.0.0.1";host="${host}";proto=https`,
      'x-forwarded-proto': 'https',
      'x-forwarded-for': '127.0.0.1',
      connection: 'keep-alive',
    })
  })

  it("believes the load balancer's last address, and no other", async () => {
    const { ask, task, headers } = await start(undefined, { behindLoadBalancer: true })
    await ask('/', { headers: { ...headers, 'x-forwarded-for': '6.6.6.6, 198.51.100.7' } })
    expect(task.seen[0]?.headers['x-forwarded-for']).toBe('198.51.100.7')
  })

  it("keeps another site's Origin, so that the dev server can refuse it", async () => {
    const { ask, task, headers } = await start()
    await ask('/', { headers: { ...headers, origin: 'https://evil.example' } })
    expect(task.seen[0]?.headers.origin).toBe('https://evil.example')
  })

  it('loses hop-by-hop headers and those that Connection names, but none of the gateway', async () => {
    const { ask, task, headers, host } = await start()
    await ask('/', {
      headers: {
        ...headers,
        connection: 'close, X-Hop, X-Forwarded-Proto, Forwarded',
        'x-hop': '1',
        te: 'trailers',
        'keep-alive': 'timeout=5',
      },
    })
    expect(task.seen[0]?.headers).toMatchObject({
      'x-forwarded-proto': 'https',
      forwarded: expect.stringContaining(host),
      connection: 'keep-alive',
    })
    for (const name of ['x-hop', 'te', 'keep-alive']) expect(task.seen[0]?.headers[name]).toBeUndefined()
  })

  it('streams both ways: the task answers piece by piece while the body still comes', async () => {
    const { gateway, host, headers } = await start((incoming, response) => incoming.pipe(response))
    const outgoing = request({ port: gateway.port, host: '127.0.0.1', method: 'POST', headers: { host, ...headers } })
    outgoing.write('one')
    const [answer] = (await once(outgoing, 'response')) as [import('node:http').IncomingMessage]
    expect(String((await once(answer, 'data'))[0])).toBe('one')
    outgoing.write('two')
    expect(String((await once(answer, 'data'))[0])).toBe('two')
    outgoing.end()
    await once(answer.resume(), 'end')
  })

  it('goes on when the browser asks first whether it may send (Expect: 100-continue)', async () => {
    const { gateway, host, headers, task } = await start((incoming, response) => incoming.pipe(response))
    const answer = raw(
      gateway.port,
      `POST / HTTP/1.1\r\nhost: ${host}\r\ncookie: ${headers.cookie}\r\nexpect: 100-continue\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbody`,
    )
    expect(await answer).toMatch(/^HTTP\/1\.1 100 Continue[\s\S]*HTTP\/1\.1 200[\s\S]*\r\nbody\r\n/)
    expect(task.seen[0]?.headers.expect).toBeUndefined()
  })

  it('that was given up by the browser is given up at the task', async () => {
    const closed = Promise.withResolvers<void>()
    const { gateway, host, headers } = await start((incoming, response) => {
      response.on('close', () => closed.resolve())
      incoming.resume()
      outgoing.destroy()
    })
    const outgoing = request({ port: gateway.port, host: '127.0.0.1', headers: { host, ...headers } })
    outgoing.on('error', () => undefined)
    outgoing.end()
    await closed.promise
  })
})

describe("the task's answer on its way to the browser", () => {
  it('may be framed by the app and itself; every other directive stays', async () => {
    const { ask, headers } = await start((_, response) => {
      response.setHeader('content-security-policy', [
        "default-src 'self'; Frame-Ancestors 'none'; img-src *",
        "frame-ancestors https://evil.example, script-src 'self'",
      ])
      response.setHeader('x-frame-options', 'DENY')
      response.setHeader('strict-transport-security', 'max-age=1')
      response.end()
    })
    const answer = await ask('/', { headers })
    expect(answer.headers['content-security-policy']).toBe(
      `default-src 'self'; img-src *, script-src 'self', frame-ancestors 'self' ${APP}`,
    )
    expect(answer.headers['x-frame-options']).toBeUndefined()
    expect(answer.headers['strict-transport-security']).toBe('max-age=1')
  })

  it("sets the application's cookies for its own host and the frame it is shown in, and never the gateway's", async () => {
    const { ask, headers } = await start((_, response) => {
      response.setHeader('set-cookie', [
        'session=1; Path=/; domain=.preview.example; HttpOnly',
        '__Host-covibes-preview=x; Path=/; Secure',
        ' __host-COVIBES-preview =x',
        '=__Host-covibes-preview=x',
        'csrf=1; SameSite=Lax; Path=/; secure',
        'plain=Domain=x',
      ])
      response.end()
    })
    expect((await ask('/', { headers })).headers['set-cookie']).toEqual([
      'session=1; Path=/; HttpOnly; SameSite=None; Secure; Partitioned',
      'csrf=1; Path=/; SameSite=None; Secure; Partitioned',
      'plain=Domain=x; SameSite=None; Secure; Partitioned',
    ])
  })

  it('sets up nothing in the browser that would tell the application of the next ticket', async () => {
    const names = ['report-to', 'nel', 'clear-site-data', 'alt-svc']
    const { ask, headers, task } = await start((_, response) => {
      for (const name of names) response.setHeader(name, 'x')
      response.end()
    })
    const answer = await ask('/', { headers })
    for (const name of names) expect(answer.headers[name]).toBeUndefined()
    const worker = await ask('/sw.js', { headers: { ...headers, 'service-worker': 'script' } })
    expect(worker.status).toBe(403)
    expect(task.seen.map(({ url }) => url)).toEqual(['/'])
  })

  const redirects: readonly [location: string, expected: string | number][] = [
    ['/login', '/login'],
    ['?page=2', '?page=2'],
    ['http://localhost:PORT/a?b#c', 'https://HOST/a?b#c'],
    ['http://127.0.0.1:PORT/a', 'https://HOST/a'],
    ['http://0.0.0.0:PORT/', 'https://HOST/'],
    ['http://[::1]:PORT/', 'https://HOST/'],
    ['//localhost:PORT//evil.example/', 'https://HOST//evil.example/'],
    ['http://HOST/a', 'https://HOST/a'],
    ['https://HOST/a', 'https://HOST/a'],
    ['https://elsewhere.example/a', 'https://elsewhere.example/a'],
    ['https://app.example/x', 'https://app.example/x'],
    ['//elsewhere.example/a', '//elsewhere.example/a'],
    ['mailto:ada@example.com', 'mailto:ada@example.com'],
    ['http://localhost:1/', 502],
    ['http://169.254.170.2/v2/credentials', 502],
    ['http://169.254.169.254/latest', 502],
    ['http://10.0.3.4:8080/', 502],
    ['http://0x0a000304/', 502],
    ['http://[fd00:ec2::23]/', 502],
    ['http://[::ffff:10.0.0.1]/', 502],
    ['http://172.31.0.2/', 502],
    ['http://192.168.1.1/', 502],
    ['http://100.64.1.1/', 502],
    ['http://ip-10-0-0-1.ec2.internal/', 502],
    ['http://intranet/', 502],
    ['\\\\10.0.0.1/', 502],
  ]
  it.each(redirects)('redirects to %s as %s', async (location, expected) => {
    const { ask, headers, host, task } = await start((_, response) => {
      response.writeHead(302, { location: location.replace('HOST', host).replace('PORT', String(task.port)) })
      response.end()
    })
    const answer = await ask('/', { headers })
    if (typeof expected === 'number') expect([answer.status, answer.headers.location]).toEqual([expected, undefined])
    else expect(answer.headers.location).toBe(expected.replace('HOST', host))
  })

  it('closes the connection when the browser asked for that, and keeps it otherwise', async () => {
    const { gateway, host, headers } = await start()
    const head = `host: ${host}\r\ncookie: ${headers.cookie}\r\n`
    const answers = await raw(gateway.port, [
      `GET /1 HTTP/1.1\r\n${head}\r\n`,
      `GET /2 HTTP/1.1\r\n${head}connection: close\r\n\r\n`,
    ])
    expect(answers.match(/HTTP\/1\.1 200/g)).toHaveLength(2)
    expect(answers.match(/connection: [a-z-]+/gi)).toEqual(['connection: keep-alive', 'connection: close'])
  })
})

describe('a preview that is not up', () => {
  const page = { headers: { accept: 'text/html', 'sec-fetch-mode': 'navigate' } }

  it('that starts is a page that loads itself again; anything but a navigation gets a line of text', async () => {
    const { ask, directory, label, preview, headers } = await start()
    directory.items.set(label, {
      ...preview,
      status: 'starting',
      reason: 'Installing <packages>',
      lastLines: ['\u001b[31mnpm <ci>\u001b[0m'],
    })
    const waiting = await ask('/', { headers: { ...page.headers, ...headers } })
    expect(waiting.status).toBe(503)
    expect(waiting.headers['retry-after']).toBe('2')
    expect(waiting.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(waiting.body).toContain('<meta http-equiv="refresh" content="2">')
    expect(waiting.body).toContain('Installing &#60;packages&#62;')
    expect(waiting.body).toContain('<pre>npm &#60;ci&#62;</pre>')
    const script = await ask('/main.js', { headers: { accept: '*/*', 'sec-fetch-mode': 'cors', ...headers } })
    expect(script.status).toBe(503)
    expect(script.headers['content-type']).toBe('text/plain; charset=utf-8')
    expect(script.headers['retry-after']).toBe('2')
  })

  it('whose server does not listen yet says how far it is', async () => {
    const { ask, directory, label, preview, headers, task, log } = await start()
    task.close()
    directory.items.set(label, { ...preview, phase: 'installing', reason: 'package.json depends on vite' })
    const waiting = await ask('/', { headers: { ...page.headers, ...headers } })
    expect(waiting.status).toBe(502)
    expect(waiting.body).toContain('its packages are installed')
    expect(waiting.body).toContain('package.json depends on vite')
    expect(waiting.body).toContain('<meta http-equiv="refresh" content="2">')
    expect(log).toEqual([])
  })

  it('that failed says why, with the last lines', async () => {
    const { ask, directory, label, preview, headers } = await start()
    directory.items.set(label, {
      ...preview,
      status: 'failed',
      reason: 'It died 5 times',
      lastLines: ['<script>alert(1)</script>'],
    })
    const answer = await ask('/', { headers: { ...page.headers, ...headers } })
    expect(answer.status).toBe(502)
    expect(answer.body).toContain('It died 5 times')
    expect(answer.body).toContain('&#60;script&#62;alert(1)')
    expect(answer.body).not.toContain('<script>')
  })

  it('that sleeps is woken by a person who opens it: once, and not by what an open page does', async () => {
    let now = Date.now()
    const { ask, directory, label, preview, headers } = await start(undefined, { now: () => now })
    directory.items.set(label, { ...preview, status: 'completed', idle: true })
    now += 2_000
    expect((await ask('/', { headers: { accept: '*/*', ...headers } })).body).toContain('asleep')
    expect((await ask('/', { headers: page.headers })).status).toBe(403)
    expect(directory.wakes).toEqual([])
    for (let visit = 0; visit < 3; visit += 1) {
      const answer = await ask('/', { headers: { ...page.headers, ...headers } })
      expect([answer.status, answer.headers['retry-after']]).toEqual([503, '2'])
    }
    expect(directory.wakes).toEqual([label])
    now += 10_000
    await ask('/', { headers: { ...page.headers, ...headers } })
    expect(directory.wakes).toEqual([label, label])
  })

  it('that a member stopped is not woken', async () => {
    const { ask, directory, label, preview, headers } = await start()
    directory.items.set(label, { ...preview, status: 'killed', reason: 'Stopped by Ada' })
    const answer = await ask('/', { headers: { ...page.headers, ...headers } })
    expect(answer.status).toBe(503)
    expect(answer.body).toContain('Stopped by Ada')
    expect(answer.body).not.toContain('http-equiv="refresh"')
    expect(directory.wakes).toEqual([])
  })

  it('whose server does not listen (yet) is a page that loads itself again', async () => {
    const { ask, headers, task } = await start()
    task.close()
    const answer = await ask('/', { headers: { ...page.headers, ...headers } })
    expect(answer.status).toBe(502)
    expect(answer.body).toContain('<meta http-equiv="refresh" content="2">')
  })

  it('is visited when it is asked for, and the visit noted once in a minute', async () => {
    let now = Date.now()
    const { ask, directory, label, headers } = await start(undefined, { now: () => now })
    for (let visit = 0; visit < 5; visit += 1) await ask('/', { headers })
    expect(directory.visits).toEqual([label])
    now += 60_000
    await ask('/', { headers })
    expect(directory.visits).toEqual([label, label])
    await ask('/')
    expect(directory.visits).toHaveLength(2)
  })
})
