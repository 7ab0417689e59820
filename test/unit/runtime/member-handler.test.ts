import { describe, expect, it } from 'vitest'
import { routes } from '../../../shared/contracts/routes.ts'
import { ForwardingFailed } from '../../../shared/domain/forwarding/errors.ts'
import type { Forward, ForwardRequest } from '../../../shared/domain/forwarding/ports.ts'
import { memberHandler } from '../../../shared/runtime/member-handler.ts'
import { capturedLogs, httpEvent, lambdaContext } from './support.ts'

capturedLogs()
const MEMBER = { userId: 'user-1', teamId: 'team-1' }

function bench({ isOurs = true, hasServer = true, verify = async (token: string) => token === 'good' && MEMBER } = {}) {
  const forwarded: ForwardRequest[] = []
  const handled: unknown[] = []
  const forward: Forward = async (request) => {
    if (!hasServer) throw new ForwardingFailed('not-configured')
    forwarded.push(request)
    return { status: 207, headers: { 'x-from': 'there' }, cookies: ['a=1'], body: Buffer.from('theirs') }
  }
  const deps = { verifyToken: async (t: string) => (await verify(t)) || undefined, isOurs: async () => isOurs, forward }
  const handler = memberHandler(routes.readFile, deps, async ({ query, actor, token }) => {
    handled.push({ query, actor, token })
    return { path: query.path, content: 'ours', isBinary: false, size: 4 }
  })
  const send = (overrides: Record<string, unknown> = {}) =>
    handler(
      httpEvent({
        rawPath: '/api/ide/file',
        rawQueryString: 'path=a%20b&branch=main',
        queryStringParameters: { path: 'a b', branch: 'main' },
        cookies: ['connect.sid=1'],
        headers: { authorization: 'Bearer good' },
        ...overrides,
      }),
      lambdaContext(),
    )
  return { send, forwarded, handled }
}
const text = (answer: { body: string; isBase64Encoded?: boolean }) =>
  Buffer.from(answer.body, answer.isBase64Encoded ? 'base64' : 'utf8').toString()

describe('a route of ours for teams on containers', () => {
  it('is answered here, with the member of the token', async () => {
    const { send, handled, forwarded } = bench()
    const answer = await send()
    expect(answer.statusCode).toBe(200)
    expect(JSON.parse(answer.body)).toMatchObject({ content: 'ours' })
    expect(handled).toEqual([{ query: { path: 'a b', branch: 'main' }, actor: MEMBER, token: 'good' }])
    expect(forwarded).toEqual([])
  })

  it('is checked by its schemas here', async () => {
    const { send, handled } = bench()
    const answer = await send({ queryStringParameters: { branch: 'main' } })
    expect(answer.statusCode).toBe(400)
    expect(handled).toEqual([])
  })

  it.each([
    ['for other teams', { isOurs: false }, { authorization: 'Bearer good' }],
    ['with a bad token', {}, { authorization: 'Bearer bad' }],
    ['without a token', {}, {}],
    ['with something else than a bearer token', {}, { authorization: 'Basic good' }],
  ])('goes to the existing server unchanged %s', async (_name, options, headers) => {
    const { send, forwarded, handled } = bench(options)
    // Nothing of it fits the schemas here: that is not for us to judge.
    const answer = await send({ headers, queryStringParameters: { odd: '1' }, rawQueryString: 'odd=1' })
    expect(answer).toMatchObject({ statusCode: 207, headers: { 'x-from': 'there' }, cookies: ['a=1'] })
    expect(text(answer)).toBe('theirs')
    expect(handled).toEqual([])
    expect(forwarded).toMatchObject([
      { method: 'POST', path: '/api/ide/file', rawQuery: 'odd=1', cookies: ['connect.sid=1'], headers },
    ])
  })

  it.each([
    [401, 'Unauthorized', {}],
    [403, 'Forbidden', { authorization: 'Bearer bad' }],
    [403, 'Forbidden', { authorization: 'Basic good' }],
  ])('is refused with the platform’s own %i where there is no existing server', async (status, message, headers) => {
    const answer = await bench({ hasServer: false }).send({ headers })
    expect(answer.statusCode).toBe(status)
    expect(JSON.parse(text(answer))).toEqual({ message })
  })

  it('is 404 for a good token of another team’s server that is not there', async () => {
    expect((await bench({ hasServer: false, isOurs: false }).send()).statusCode).toBe(404)
  })

  it('never believes the event on who asks', async () => {
    const { send, handled } = bench()
    const event = httpEvent()
    event.requestContext.authorizer.lambda = { userId: 'user-1', teamId: 'team-2' }
    await send({ requestContext: event.requestContext })
    expect(handled).toMatchObject([{ actor: MEMBER }])
    const { send: sendBad, handled: none } = bench({ hasServer: false })
    await sendBad({ requestContext: event.requestContext, headers: { authorization: 'Bearer bad' } })
    expect(none).toEqual([])
  })

  it('does not take its own trouble for a bad token', async () => {
    const trouble = Object.assign(new Error('away'), { name: 'TimeoutError' })
    const { send, forwarded } = bench({ verify: () => Promise.reject(trouble) })
    const answer = await send()
    expect(answer).toMatchObject({ statusCode: 503, headers: { 'retry-after': '2' } })
    expect(forwarded).toEqual([])
  })
})
