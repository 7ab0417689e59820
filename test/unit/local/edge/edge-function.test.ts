import { describe, expect, it } from 'vitest'
import { loadEdgeFunction } from '../../../../local/edge/edge-function.ts'
import { viewerRequestEvent } from '../../../../local/edge/viewer-request-event.ts'

const rawHeaders = ['Host', 'a.example', 'X-A', '1', 'x-a', '2', 'Cookie', 'c=1; d=2', 'Upgrade', 'websocket']
const event = viewerRequestEvent(
  { method: 'GET', url: '/a/b?x=1&x=2&y&z=%20', rawHeaders, socket: { remoteAddress: '192.0.2.7' } },
  { id: 'E1', domainName: 'd1.cloudfront.net' },
  'request-1',
)
const load = (code: string) => loadEdgeFunction('fn', code, new Set(['one', 'two']))
const run = (code: string) => load(code).run(event)

describe('viewerRequestEvent', () => {
  it("has the documented shape, and not the headers of the connection's own", () => {
    expect(JSON.parse(JSON.stringify(event))).toEqual({
      version: '1.0',
      context: {
        distributionDomainName: 'd1.cloudfront.net',
        distributionId: 'E1',
        eventType: 'viewer-request',
        requestId: 'request-1',
      },
      viewer: { ip: '192.0.2.7' },
      request: {
        method: 'GET',
        uri: '/a/b',
        querystring: {
          x: { value: '1', multiValue: [{ value: '1' }, { value: '2' }] },
          y: { value: '' },
          z: { value: '%20' },
        },
        headers: { host: { value: 'a.example' }, 'x-a': { value: '1', multiValue: [{ value: '1' }, { value: '2' }] } },
        cookies: { c: { value: '1' }, d: { value: '2' } },
      },
    })
  })
})

describe('an edge function', () => {
  it('gets the event and says where the request goes', () => {
    const code = `import cf from 'cloudfront'
      function handler(event) {
        cf.selectRequestOriginById('two')
        event.request.uri = '/' + event.viewer.ip + event.request.uri
        return event.request
      }`
    expect(run(code)).toEqual({ uri: '/192.0.2.7/a/b', originId: 'two' })
  })

  it('is in a realm without Node and without code from text', () => {
    for (const name of ['process', 'require', 'setTimeout', 'fetch', 'URL', 'Buffer'])
      expect(run(`function handler(e) { e.request.uri = '/' + typeof ${name}; return e.request }`).uri).toBe(
        '/undefined',
      )
    expect(() => run(`function handler(e) { return handler.constructor('return this')() }`)).toThrow(/Code generation/)
    expect(() => run(`function handler(e) { return eval('e.request') }`)).toThrow(/Code generation/)
  })

  it.each([
    ['throws', `function handler() { throw new Error('no reason') }`, 'no reason'],
    ['never ends', 'function handler() { while (true) {} }', 'timed out'],
    ['returns nothing', 'function handler() {}', 'it returned nothing'],
    ['leaves the path without its slash', `function handler(e) { e.request.uri = 'a'; return e.request }`, 'uri'],
    [
      'selects an origin that is not there',
      `function handler(e) { $cloudfront.selectRequestOriginById('x'); return e.request }`,
      'no origin x',
    ],
    ['changes headers', `function handler(e) { e.request.headers.a = { value: '1' }; return e.request }`, 'changed'],
    ['changes the query', 'function handler(e) { e.request.querystring = {}; return e.request }', 'changed'],
    ['changes the method', `function handler(e) { e.request.method = 'PUT'; return e.request }`, 'changed'],
    ['answers itself', 'function handler() { return { statusCode: 200 } }', 'not imitated'],
    ['is asynchronous', 'async function handler(e) { return e.request }', 'not imitated'],
    [
      'makes an origin',
      `import cf from 'cloudfront'; function handler(e) { cf.updateRequestOrigin({}); return e.request }`,
      'not imitated',
    ],
  ])('that %s fails and says so', (_, code, reason) => {
    const { run: runIt } = load(code)
    expect(() => runIt(event)).toThrow(reason)
    expect(() => runIt(event)).toThrow(/^The edge function fn: /)
  })

  it.each([
    ['does not compile', 'function handler( {', 'Unexpected end of input'],
    ['has no handler', 'const a = 1', 'it has no handler'],
    ['imports something else', `import fs from 'node:fs'\nfunction handler(e) { return e.request }`, 'import'],
  ])('that %s is not loaded', (_, code, reason) => {
    expect(() => load(code)).toThrow(reason)
  })
})
