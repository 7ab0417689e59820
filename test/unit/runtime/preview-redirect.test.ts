import { describe, expect, it } from 'vitest'
import type { ForwardRequest } from '../../../shared/domain/forwarding/ports.ts'
import { previewIdOf } from '../../../shared/domain/previews/record.ts'
import { previewRedirect } from '../../../shared/runtime/preview-redirect.ts'
import { fixedClock, previewEnvironment } from '../../support/environments.ts'
import { capturedLogs, httpEvent, lambdaContext } from './support.ts'

const { text: logged } = capturedLogs()
const team = { teamId: 'team-1', incarnation: '0198c0de-0000-7000-8000-000000000009' }
const record = previewEnvironment({ id: previewIdOf(team, 'workspace') })
const HOST = 'https://workspace-aaaaaaaaaaaaaaaaaaaa.preview.example.com'

function bench({ isOurs = true, hasDomain = true } = {}) {
  const forwarded: ForwardRequest[] = []
  const handler = previewRedirect(
    {
      verifyToken: async (token) =>
        ({ good: { userId: 'user-1', teamId: 'team-1' }, other: { userId: 'u', teamId: 't' } })[token],
      isOurs: async () => isOurs,
      forward: async (request) => {
        forwarded.push(request)
        return { status: 200, headers: {}, cookies: [], body: Buffer.from('theirs') }
      },
    },
    {
      teams: { get: async (teamId) => (teamId === team.teamId ? (team as never) : undefined) },
      environments: { get: async ({ id }) => (id === record.id ? record : undefined) },
      originPattern: hasDomain ? 'https://{label}.preview.example.com' : undefined,
      secret: async () => 's'.repeat(43),
      clock: fixedClock,
    },
  )
  const get = async (path: string, query: Record<string, string> = {}, headers: Record<string, string> = {}) => {
    const [, , , , teamId, branch] = path.split('/')
    return handler(
      httpEvent({
        rawPath: path,
        rawQueryString: new URLSearchParams(query).toString(),
        queryStringParameters: query,
        pathParameters: { team: teamId, branch },
        headers,
        requestContext: { ...httpEvent().requestContext, authorizer: undefined },
      }),
      lambdaContext(),
    )
  }
  return { get, forwarded }
}

describe('/api/preview/proxy', () => {
  it.each([
    ['/api/preview/proxy/team-1/workspace', {}, `${HOST}/`],
    ['/api/preview/proxy/team-1/workspace/', {}, `${HOST}/`],
    ['/api/preview/proxy/team-1/workspace/a/b.js', { v: '1', w: 'x y' }, `${HOST}/a/b.js?v=1&w=x+y`],
    ['/api/preview/proxy/team-1/workspace//evil.example/', {}, `${HOST}//evil.example/`],
    ['/api/preview/proxy/team-1/workspace/a?b#c\r\nset-cookie: d', {}, `${HOST}/a%3Fb%23c%0D%0Aset-cookie%3A%20d`],
  ])('%s goes to the preview’s own host', async (path, query, location) => {
    const answer = await bench().get(path, query as Record<string, string>)
    expect(answer.statusCode).toBe(302)
    expect(answer.headers).toMatchObject({ location, 'referrer-policy': 'no-referrer', 'cache-control': 'no-store' })
  })

  it.each([
    ['a bearer token', {}, { authorization: 'Bearer good' }],
    ['the token that the frontend appends', { token: 'good', x: '1' }, {}],
  ])('lets a member in by %s, which goes no further', async (_, query, headers) => {
    const { location = '' } = (
      await bench().get('/api/preview/proxy/team-1/workspace/x', query as never, headers as never)
    ).headers
    expect(location).toMatch(/^https:\/\/workspace-a{20}\.preview\.example\.com\/__covibes\/enter\/[\w.-]+\/x(\?x=1)?$/)
    expect(location).not.toContain('good')
    expect(logged()).not.toContain('enter/')
  })

  it('gives members of other teams, and whoever has no good token, no ticket', async () => {
    for (const token of ['other', 'bad'])
      expect((await bench().get('/api/preview/proxy/team-1/workspace/', { token })).headers.location).toBe(`${HOST}/`)
  })

  it('is the existing server’s for teams that are not on containers, and for what is no team of ours', async () => {
    const theirs = bench({ isOurs: false })
    expect((await theirs.get('/api/preview/proxy/team-1/main/x')).statusCode).toBe(200)
    expect(theirs.forwarded).toHaveLength(1)
    const odd = bench()
    await odd.get('/api/preview/proxy/te%20am/main/x')
    expect(odd.forwarded).toHaveLength(1)
  })

  it('says what is missing', async () => {
    expect((await bench().get('/api/preview/proxy/team-1/main/')).statusCode).toBe(404)
    expect((await bench().get('/api/preview/proxy/team-2/workspace/')).statusCode).toBe(404)
    expect((await bench().get('/api/preview/proxy/team-1/develop/')).statusCode).toBe(400)
    const without = await bench({ hasDomain: false }).get('/api/preview/proxy/team-1/workspace/')
    expect(without.statusCode).toBe(503)
    expect(without.body).toContain('no preview domain')
  })
})
