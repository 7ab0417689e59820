import { request as httpRequest } from 'node:http'
import { describe, expect, it, vi } from 'vitest'
import { AwsError } from '../../../../local/common/aws-error.ts'
import { createHttpApi } from '../../../../local/http-api/http-api.ts'
import { assemblyOf, rawRequest, serve } from './api.ts'

const echo = (event: unknown) => event

describe('the event', () => {
  it('has the fields of payload format 2.0', async () => {
    const { url, api } = await serve({ routes: ['POST /agents/{id}/input'] }, { POST__agents__id__input: echo })
    const { body } = await rawRequest(
      url,
      '/agents/a%20b%2Fc/input?tag=1&tag=2%203&flag',
      {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Cookie: 'a=1; b=2', 'X-Many': ['1', '2'], 'User-Agent': 'test' },
      },
      '{"é":1}',
    )
    expect(JSON.parse(body)).toEqual({
      version: '2.0',
      routeKey: 'POST /agents/{id}/input',
      rawPath: '/agents/a b/c/input',
      rawQueryString: 'tag=1&tag=2%203&flag',
      cookies: ['a=1', 'b=2'],
      headers: {
        'content-type': 'application/json',
        'content-length': '8',
        host: url.slice('http://'.length),
        'user-agent': 'test',
        'x-many': '1,2',
        'x-forwarded-for': '127.0.0.1',
        'x-forwarded-port': expect.stringMatching(/^\d+$/),
        'x-forwarded-proto': 'http',
        'x-amzn-trace-id': expect.stringMatching(/^Root=1-[0-9a-f]{8}-[0-9a-f]{24}$/),
      },
      queryStringParameters: { tag: '1,2 3', flag: '' },
      pathParameters: { id: 'a b/c' },
      requestContext: {
        accountId: '000000000000',
        apiId: api.apiId,
        domainName: url.slice('http://'.length),
        domainPrefix: '127',
        http: {
          method: 'POST',
          path: '/agents/a b/c/input',
          protocol: 'HTTP/1.1',
          sourceIp: '127.0.0.1',
          userAgent: 'test',
        },
        requestId: expect.stringMatching(/^[\w-]{15}=$/),
        routeKey: 'POST /agents/{id}/input',
        stage: '$default',
        time: expect.stringMatching(/^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/),
        timeEpoch: expect.any(Number),
      },
      body: '{"é":1}',
      isBase64Encoded: false,
    })
  })

  it('leaves out what the request does not have', async () => {
    const { url } = await serve({ routes: ['GET /'] }, { GET__: echo })
    const event = JSON.parse((await rawRequest(url, '/')).body)
    for (const member of ['cookies', 'queryStringParameters', 'pathParameters', 'stageVariables', 'body'])
      expect(event).not.toHaveProperty(member)
    expect(event).toMatchObject({ rawQueryString: '', isBase64Encoded: false })
  })

  it.each([
    ['text/plain;charset=UTF-8', {}, false],
    ['application/json', {}, false],
    ['application/problem+json', {}, false],
    ['application/xml', {}, false],
    ['application/octet-stream', {}, true],
    ['application/x-www-form-urlencoded', {}, true],
    ['application/json', { 'content-encoding': 'gzip' }, true],
  ])('carries a body of %s %o as base64: %s', async (type, headers, isBase64Encoded) => {
    const { url } = await serve({ routes: ['POST /'] }, { POST__: echo })
    const { body } = await rawRequest(
      url,
      '/',
      { method: 'POST', headers: { 'content-type': type, ...headers } },
      'bytes',
    )
    const expected = isBase64Encoded ? Buffer.from('bytes').toString('base64') : 'bytes'
    expect(JSON.parse(body)).toMatchObject({ body: expected, isBase64Encoded })
  })
})

describe('routes', () => {
  const routes = [
    'GET /a/b',
    'GET /a/{id}',
    'ANY /a/{id}',
    'GET /a/{rest+}',
    'GET /a/{id}/c',
    'POST /s/{proxy+}',
    '$default',
  ]
  it.each([
    ['GET', '/a/b', 'GET /a/b', undefined],
    ['GET', '/a/x', 'GET /a/{id}', { id: 'x' }],
    ['PUT', '/a/b', 'ANY /a/{id}', { id: 'b' }],
    ['GET', '/a/x/c', 'GET /a/{id}/c', { id: 'x' }],
    ['GET', '/a/x/y', 'GET /a/{rest+}', { rest: 'x/y' }],
    ['POST', '/s/', 'POST /s/{proxy+}', { proxy: '' }],
    ['POST', '/s', '$default', undefined],
    ['GET', '/a', '$default', undefined],
    ['GET', '/', '$default', undefined],
    ['DELETE', '/a/x/y', '$default', undefined],
  ])('%s %s goes to %s', async (method, path, routeKey, pathParameters) => {
    const functions = Object.fromEntries(routes.map((key) => [key.replaceAll(/[^A-Za-z0-9]/g, '_'), echo]))
    const { url } = await serve({ routes }, functions)
    const event = JSON.parse((await rawRequest(url, path, { method })).body)
    expect([event.routeKey, event.pathParameters]).toEqual([routeKey, pathParameters])
  })

  it('answers 404 without $default, and says which requests it takes', async () => {
    const { url, api } = await serve({ routes: ['GET /a/{id}'] }, {})
    const { status, body, headers } = await rawRequest(url, '/a/b/c')
    expect([status, body, headers['content-type']]).toEqual([404, '{"message":"Not Found"}', 'application/json'])
    expect([api.hasRoute('GET', '/a/x'), api.hasRoute('POST', '/a/x')]).toEqual([true, false])
  })

  it('serves a named stage under its name', async () => {
    const definition = { routes: ['GET /a'], stage: { StageName: 'live', StageVariables: { color: 'blue' } } }
    const { url } = await serve(definition, { GET__a: echo })
    const event = JSON.parse((await rawRequest(url, '/live/a')).body)
    expect(event).toMatchObject({
      rawPath: '/live/a',
      stageVariables: { color: 'blue' },
      requestContext: { stage: 'live' },
    })
    expect((await rawRequest(url, '/a')).status).toBe(404)
  })

  it('refuses at start what it cannot serve', async () => {
    const create = (routes: string[], authorizer?: object) =>
      createHttpApi({
        assembly: assemblyOf({ routes, authorized: routes, ...(authorizer && { authorizer: { ...authorizer } }) }),
        invoke: vi.fn(),
      })
    await expect(create(['GET /a/'])).rejects.toThrow('GET /a/ (Route0) ends in a slash')
    await expect(create(['GET /a'], { AuthorizerType: 'JWT' })).rejects.toThrow(
      'an authorizer other than a Lambda function',
    )
  })
})

describe('the answer', () => {
  it.each([
    ['an object without statusCode', { a: 1 }, 200, 'application/json', '{"a":1}'],
    ['a string', 'text', 200, 'application/json', 'text'],
    ['nothing', null, 200, 'application/json', 'null'],
    [
      'a full response',
      { statusCode: 201, headers: { 'Content-Type': 'text/html' }, body: '<p>' },
      201,
      'text/html',
      '<p>',
    ],
    ['no content type', { statusCode: 200, body: 'x' }, 200, 'text/plain;charset=UTF-8', 'x'],
    [
      'base64',
      { statusCode: 200, body: Buffer.from('hé').toString('base64'), isBase64Encoded: true },
      200,
      'text/plain;charset=UTF-8',
      'hé',
    ],
    ['a status as text', { statusCode: '404', body: '' }, 404, 'text/plain;charset=UTF-8', ''],
    [
      'a body that is no text',
      { statusCode: 200, body: { a: 1 } },
      500,
      'application/json',
      '{"message":"Internal Server Error"}',
    ],
    ['no sensible status', { statusCode: 'ok' }, 500, 'application/json', '{"message":"Internal Server Error"}'],
  ])('to %s', async (_, result, status, type, body) => {
    const { url } = await serve({ routes: ['GET /'] }, { GET__: () => result })
    const answer = await rawRequest(url, '/')
    expect([answer.status, answer.headers['content-type'], answer.body]).toEqual([status, type, body])
    expect(answer.headers['apigw-requestid']).toMatch(/^[\w-]{15}=$/)
  })

  it('has a cookie header for each cookie', async () => {
    const result = {
      statusCode: 204,
      cookies: ['a=1; Secure', 'b=2'],
      headers: { 'X-Count': 3, Connection: 'upgrade' },
    }
    const { url } = await serve({ routes: ['GET /'] }, { GET__: () => result })
    const { headers } = await rawRequest(url, '/')
    expect(headers['set-cookie']).toEqual(['a=1; Secure', 'b=2'])
    expect([headers['x-count'], headers.connection, headers['content-length']]).toEqual(['3', 'keep-alive', undefined])
  })

  it('has no body for HEAD', async () => {
    const { url } = await serve({ routes: ['HEAD /'] }, { HEAD__: () => ({ statusCode: 200, body: 'four' }) })
    const { status, headers, body } = await rawRequest(url, '/', { method: 'HEAD' })
    expect([status, headers['content-length'], body]).toEqual([200, '4', ''])
  })
})

describe('failures', () => {
  const fails = (error: Error) => () => {
    throw error
  }
  it.each([
    ['a function error', fails(new Error('boom')), 500, 'Internal Server Error', 'boom'],
    [
      'a throttled function',
      fails(new AwsError('TooManyRequestsException', '', { statusCode: 429 })),
      500,
      'Internal Server Error',
      'TooManyRequestsException',
    ],
    [
      'a function slower than the integration',
      () => new Promise(() => {}),
      503,
      'Service Unavailable',
      'longer than 30 ms',
    ],
  ])('%s', async (_, handler, status, message, reason) => {
    const { url, failures } = await serve({ routes: ['GET /x'], timeoutMs: 30 }, { GET__x: handler })
    const answer = await rawRequest(url, '/x')
    expect([answer.status, answer.body]).toEqual([status, JSON.stringify({ message })])
    expect(failures).toEqual([expect.stringMatching(`^GET /x: .*${reason}`)])
  })

  it('refuses what is too large, for itself or for the function', async () => {
    const tooLarge = fails(new AwsError('RequestTooLargeException', '', { statusCode: 413 }))
    const { url } = await serve({ routes: ['POST /', 'POST /big'] }, { POST__: echo, POST__big: tooLarge })
    const over = await rawRequest(url, '/', { method: 'POST' }, Buffer.alloc(10 * 1024 * 1024 + 1))
    expect([over.status, over.body]).toEqual([413, '{"message":"Request Entity Too Large"}'])
    expect((await rawRequest(url, '/big', { method: 'POST' }, 'x')).status).toBe(413)
    expect((await rawRequest(url, '/', { method: 'POST', headers: { 'x-long': 'x'.repeat(10_240) } })).status).toBe(431)
  })

  it('survives a client that goes away, before and after its request is complete', async () => {
    const arrived = Promise.withResolvers<void>()
    const finish = Promise.withResolvers<void>()
    const slow = () => {
      arrived.resolve()
      return finish.promise
    }
    const { url, api } = await serve({ routes: ['POST /', 'GET /'] }, { POST__: slow, GET__: () => 'alive' })
    const half = httpRequest(url, { method: 'POST', headers: { 'content-length': 10 } })
    half.on('error', () => {})
    half.write('half')
    half.destroy()
    const whole = httpRequest(url, { method: 'POST' })
    whole.on('error', () => {})
    whole.end('whole')
    await arrived.promise
    whole.destroy()
    finish.resolve()
    expect((await rawRequest(url, '/')).body).toBe('alive')
    await api.close()
  })

  it('waits for requests under way when it closes', async () => {
    const arrived = Promise.withResolvers<void>()
    const finish = Promise.withResolvers<string>()
    const slow = () => {
      arrived.resolve()
      return finish.promise
    }
    const { url, api } = await serve({ routes: ['GET /'] }, { GET__: slow })
    const answer = rawRequest(url, '/')
    await arrived.promise
    const onClosed = vi.fn()
    const closing = api.close().then(onClosed)
    expect(onClosed).not.toHaveBeenCalled()
    finish.resolve('done')
    expect((await answer).body).toBe('done')
    await closing
  })
})

describe('throttling', () => {
  it('refuses over the burst, with a bucket of its own for a route with settings of its own', async () => {
    const stage = {
      DefaultRouteSettings: { ThrottlingBurstLimit: 2, ThrottlingRateLimit: 0.001 },
      RouteSettings: { 'GET /own': { ThrottlingBurstLimit: 1, ThrottlingRateLimit: 0.001 } },
    }
    const { url } = await serve(
      { routes: ['GET /a', 'GET /b', 'GET /own'], stage },
      { GET__a: echo, GET__b: echo, GET__own: echo },
    )
    const statuses: unknown[] = []
    for (const path of ['/a', '/own', '/b', '/own', '/a']) statuses.push((await rawRequest(url, path)).status)
    expect(statuses).toEqual([200, 200, 200, 429, 429])
    expect((await rawRequest(url, '/a')).body).toBe('{"message":"Too Many Requests"}')
  })
})

describe('CORS', () => {
  const cors = {
    AllowOrigins: ['https://app.example', 'http://*'],
    AllowMethods: ['GET', 'POST'],
    AllowHeaders: ['authorization'],
    ExposeHeaders: ['x-id'],
    MaxAge: 300,
    AllowCredentials: true,
  }
  const answer = { statusCode: 200, headers: { 'Access-Control-Allow-Origin': 'https://own.example' }, body: '' }

  it('answers preflight requests itself', async () => {
    const { url } = await serve({ routes: ['GET /'], cors }, { GET__: () => answer })
    const preflight = (origin: string) =>
      rawRequest(url, '/any', { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'GET' } })
    const allowed = await preflight('https://app.example')
    expect(allowed.status).toBe(204)
    expect(allowed.headers).toMatchObject({
      'access-control-allow-origin': 'https://app.example',
      'access-control-allow-methods': 'GET,POST',
      'access-control-allow-headers': 'authorization',
      'access-control-max-age': '300',
      'access-control-allow-credentials': 'true',
    })
    expect((await preflight('http://else.example')).headers['access-control-allow-origin']).toBe('http://else.example')
    const refused = await preflight('https://evil.example')
    expect([refused.status, refused.headers['access-control-allow-origin']]).toEqual([204, undefined])
  })

  it("puts its headers in place of the function's", async () => {
    const { url } = await serve({ routes: ['GET /'], cors }, { GET__: () => answer })
    const { headers } = await rawRequest(url, '/', { headers: { origin: 'https://app.example' } })
    expect(headers).toMatchObject({
      'access-control-allow-origin': 'https://app.example',
      'access-control-expose-headers': 'x-id',
    })
    expect((await rawRequest(url, '/')).headers['access-control-allow-origin']).toBeUndefined()
  })

  it('leaves the headers to the function without a configuration', async () => {
    const { url } = await serve({ routes: ['GET /'] }, { GET__: () => answer })
    expect((await rawRequest(url, '/')).headers['access-control-allow-origin']).toBe('https://own.example')
  })
})
