import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer, request as httpRequest, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { closeServer, listen } from '../../../../local/common/listen.ts'
import { serveDirectory } from '../../../../local/frontend/serve-directory.ts'

const base = mkdtempSync(join(tmpdir(), 'covibes-frontend-'))
const directory = join(base, 'dist')
let server: Server
let url: string
beforeAll(async () => {
  mkdirSync(join(directory, 'assets'), { recursive: true })
  writeFileSync(join(directory, 'index.html'), '<!doctype html>')
  writeFileSync(join(directory, 'assets', 'app.js'), 'run()')
  writeFileSync(join(directory, 'assets', 'ü b.css'), 'a{}')
  writeFileSync(join(directory, 'data.unknown'), Buffer.from([0, 255]))
  writeFileSync(join(base, 'secret.txt'), 'secret')
  mkdirSync(join(base, 'dist-other'))
  writeFileSync(join(base, 'dist-other', 'secret.txt'), 'secret')
  symlinkSync(join(base, 'secret.txt'), join(directory, 'leak.txt'))
  symlinkSync('loop', join(directory, 'loop'))
  server = createServer(serveDirectory(directory))
  url = await listen(server)
})
afterAll(async () => {
  await closeServer(server, 0)
  rmSync(base, { recursive: true, force: true })
})

/** The path goes out as it stands here: fetch would resolve its dots. */
function get(path: string, { method = 'GET', headers = {} as Record<string, string> } = {}) {
  return new Promise<{ status: number; headers: Record<string, unknown>; body: string }>((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const request = httpRequest({ hostname, port, path, method, headers, agent: false }, (response) => {
      let body = ''
      response.setEncoding('latin1').on('data', (chunk) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
      response.on('error', reject)
    })
    request.on('error', reject).end()
  })
}

describe('serveDirectory', () => {
  it.each([
    ['/index.html', 'text/html; charset=utf-8', '<!doctype html>'],
    ['/assets/app.js?v=1', 'text/javascript; charset=utf-8', 'run()'],
    ['/assets/%C3%BC%20b.css', 'text/css; charset=utf-8', 'a{}'],
    ['/data.unknown', 'application/octet-stream', '\u0000\u00ff'],
  ])('%s is %s', async (path, type, body) => {
    const answer = await get(path)
    expect([answer.status, answer.headers['content-type'], answer.body]).toEqual([200, type, body])
    expect(answer.headers['content-length']).toBe(String(body.length))
  })

  it.each([
    '/',
    '/none.js',
    '/assets',
    '/assets/',
    '/index.html/x',
    '/loop',
    `/${'x'.repeat(300)}`,
    '/../secret.txt',
    '/assets/../../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/..%5csecret.txt',
    '/../dist-other/secret.txt',
    '/leak.txt',
    '//etc/passwd',
  ])('%s is no file of it: 404', async (path) => {
    const { status, body } = await get(path)
    expect([status, body]).toEqual([404, '404\n'])
  })

  it.each(['/%00', '/index.html%00.js', '/%'])('%s is no path: 400', async (path) => {
    expect((await get(path)).status).toBe(400)
  })

  it('knows what the browser has, until the file changes', async () => {
    const { headers } = await get('/assets/app.js')
    const known = { 'if-none-match': String(headers.etag) }
    const again = await get('/assets/app.js', { headers: known })
    expect([again.status, again.body]).toEqual([304, ''])
    utimesSync(join(directory, 'assets', 'app.js'), 1, 1)
    expect((await get('/assets/app.js', { headers: known })).status).toBe(200)
  })

  it('takes GET and HEAD alone', async () => {
    const head = await get('/index.html', { method: 'HEAD' })
    expect([head.status, head.body, head.headers['content-length']]).toEqual([200, '', '15'])
    const post = await get('/index.html', { method: 'POST' })
    expect([post.status, post.headers.allow]).toEqual([405, 'GET, HEAD'])
  })

  it('needs a directory', () => {
    expect(() => serveDirectory(join(base, 'none'))).toThrow('ENOENT')
  })
})
