import { describe, expect, it, vi } from 'vitest'
import { type Functions, rawRequest, serve } from './api.ts'

const routes = ['GET /open', 'GET /a', 'GET /b/{id}']
const authorized = ['GET /a', 'GET /b/{id}']
const echo = (event: unknown) => event
const functions = { GET__open: echo, GET__a: echo, GET__b__id_: echo }
const bearer = (token: string) => ({ headers: { authorization: token } })

/** Serves the routes with this authorizer function. */
const withAuthorizer = (authorizer: Functions[string], properties: Record<string, unknown> = {}) =>
  serve({ routes, authorized, authorizer: properties }, { ...functions, authorizer })

describe('a Lambda authorizer', () => {
  it('is asked with an event of payload format 2.0, and its context goes to the function', async () => {
    const authorizer = vi.fn((_event: unknown) => ({ isAuthorized: true, context: { teamId: 't', n: 1, list: [1] } }))
    const { url, api } = await withAuthorizer(authorizer)
    const { body } = await rawRequest(url, '/b/1?x=y', bearer('Bearer t'))
    expect(JSON.parse(body).requestContext.authorizer).toEqual({ lambda: { teamId: 't', n: 1, list: [1] } })
    expect(authorizer).toHaveBeenCalledExactlyOnceWith({
      version: '2.0',
      type: 'REQUEST',
      routeArn: `arn:aws:execute-api:us-east-1:000000000000:${api.apiId}/$default/GET/b/1`,
      identitySource: ['Bearer t'],
      routeKey: 'GET /b/{id}',
      rawPath: '/b/1',
      rawQueryString: 'x=y',
      headers: expect.objectContaining({ authorization: 'Bearer t' }),
      queryStringParameters: { x: 'y' },
      pathParameters: { id: '1' },
      requestContext: expect.objectContaining({ routeKey: 'GET /b/{id}', requestId: expect.any(String) }),
    })
  })

  it.each([
    ['no identity source', () => ({ isAuthorized: true }), {}, 401, 'Unauthorized'],
    ['an empty identity source', () => ({ isAuthorized: true }), bearer(''), 401, 'Unauthorized'],
    ['a refusal', () => ({ isAuthorized: false }), bearer('t'), 403, 'Forbidden'],
    ['an answer of another form', () => ({ principalId: 'x' }), bearer('t'), 500, 'Internal Server Error'],
    [
      'an error',
      () => {
        throw new Error('no')
      },
      bearer('t'),
      500,
      'Internal Server Error',
    ],
  ])('with %s', async (_, authorizer, request, status, message) => {
    const { url } = await withAuthorizer(authorizer)
    const answer = await rawRequest(url, '/a', request)
    expect([answer.status, answer.body]).toEqual([status, JSON.stringify({ message })])
    expect((await rawRequest(url, '/open')).status).toBe(200)
  })

  it.each([
    ['Allow', 200],
    ['Deny', 403],
  ])('may answer with a policy that says %s', async (Effect, status) => {
    const policy = {
      principalId: 'p',
      policyDocument: { Statement: [{ Effect, Action: 'execute-api:Invoke', Resource: '*' }] },
      context: { a: 1 },
    }
    const { url } = await withAuthorizer(() => policy, { EnableSimpleResponses: false })
    expect((await rawRequest(url, '/a', bearer('t'))).status).toBe(status)
  })
})

describe("the cache of an authorizer's results", () => {
  it('is shared by all routes and goes by the identity source', async () => {
    const authorizer = vi.fn(({ identitySource: [token] }: { identitySource: string[] }) => ({
      isAuthorized: token !== 'bad',
      context: { token },
    }))
    const { url } = await withAuthorizer(authorizer, { AuthorizerResultTtlInSeconds: 300 })
    for (const path of ['/a', '/b/1', '/a']) {
      const { body } = await rawRequest(url, path, bearer('good'))
      expect(JSON.parse(body).requestContext.authorizer.lambda).toEqual({ token: 'good' })
    }
    expect(authorizer).toHaveBeenCalledTimes(1)
    for (const path of ['/a', '/b/1']) expect((await rawRequest(url, path, bearer('bad'))).status).toBe(403)
    expect(authorizer).toHaveBeenCalledTimes(2)
  })

  it('goes by the route, too, when that is an identity source', async () => {
    const authorizer = vi.fn(() => ({ isAuthorized: true }))
    const IdentitySource = ['$request.header.Authorization', '$context.routeKey']
    const { url } = await withAuthorizer(authorizer, { AuthorizerResultTtlInSeconds: 300, IdentitySource })
    for (const path of ['/a', '/b/1', '/b/2']) await rawRequest(url, path, bearer('t'))
    expect(authorizer).toHaveBeenCalledTimes(2)
  })

  it('ends after its time, and keeps no errors', async () => {
    let fail = true
    const authorizer = vi.fn(() => {
      if (fail) throw new Error('no')
      return { isAuthorized: true }
    })
    const { url } = await withAuthorizer(authorizer, { AuthorizerResultTtlInSeconds: 300 })
    expect((await rawRequest(url, '/a', bearer('t'))).status).toBe(500)
    fail = false
    const now = vi.spyOn(Date, 'now')
    const start = Date.now()
    for (const [seconds, calls] of [
      [0, 2],
      [299, 2],
      [301, 3],
    ] as const) {
      now.mockReturnValue(start + seconds * 1000)
      expect((await rawRequest(url, '/a', bearer('t'))).status).toBe(200)
      expect(authorizer).toHaveBeenCalledTimes(calls)
    }
    now.mockRestore()
  })
})
