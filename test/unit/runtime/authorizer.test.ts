import { SignJWT, UnsecuredJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { authorizerHandler } from '../../../shared/runtime/authorizer.ts'
import { createTokenVerifier } from '../../../shared/runtime/verify-token.ts'
import { capturedLogs, lambdaContext } from './support.ts'

const logs = capturedLogs()
const SECRET = 'development-secret'
const key = new TextEncoder().encode(SECRET)
const verify = createTokenVerifier(async () => SECRET)
const member = { userId: '7b0c6c1e-user', teamId: 'c5f0-team' }

const sign = (
  claims: Record<string, unknown>,
  { alg = 'HS256', with: secret = key, exp = '24h' as string | null } = {},
) => {
  const token = new SignJWT(claims).setProtectedHeader({ alg }).setIssuedAt()
  return (exp === null ? token : token.setExpirationTime(exp)).sign(secret)
}

describe('createTokenVerifier', () => {
  it('answers the member of a good token, and nothing else of it', async () => {
    expect(await verify(await sign({ ...member, admin: true }))).toEqual(member)
  })

  it.each<[string, () => Promise<string> | string]>([
    ['nothing', () => ''],
    ['no token', () => 'abc'],
    ['three empty parts', () => '..'],
    ['one signed with another secret', () => sign(member, { with: new TextEncoder().encode('other') })],
    ['one that has expired', () => sign(member, { exp: '-1s' })],
    ['one that never expires', () => sign(member, { exp: null })],
    ['one without a signature', () => new UnsecuredJWT(member).setExpirationTime('1h').encode()],
    ['HS512', () => sign(member, { alg: 'HS512' })],
    ['no team', () => sign({ userId: 'u' })],
    ['no user', () => sign({ teamId: 't' })],
    ['an empty user', () => sign({ ...member, userId: '' })],
    ['a number for a user', () => sign({ ...member, userId: 7 })],
    ['a user with a #', () => sign({ ...member, userId: 'a#b' })],
    ['a user too long', () => sign({ ...member, userId: 'u'.repeat(129) })],
    ['a team with a slash', () => sign({ ...member, teamId: 'a/b' })],
    ['a team with dots', () => sign({ ...member, teamId: '..' })],
    ['a team too long', () => sign({ ...member, teamId: 't'.repeat(65) })],
    ['a token too long', () => sign({ ...member, pad: 'x'.repeat(9000) })],
  ])('refuses %s', async (_what, token) => {
    expect(await verify(await token())).toBeUndefined()
  })

  it('refuses a token whose payload was exchanged', async () => {
    const [header, , signature] = (await sign(member)).split('.')
    const payload = Buffer.from(JSON.stringify({ ...member, teamId: 'other', exp: 9_999_999_999 })).toString(
      'base64url',
    )
    expect(await verify(`${header}.${payload}.${signature}`)).toBeUndefined()
  })

  it('throws when the secret cannot be had: that is no bad token', async () => {
    const broken = createTokenVerifier(() => Promise.reject(new Error('AccessDeniedException')))
    await expect(broken(await sign(member))).rejects.toThrow('AccessDeniedException')
  })
})

describe('authorizerHandler', () => {
  const authorize = authorizerHandler(verify)
  /** The authorizer's event, payload 2.0 (developer guide, "Control access to HTTP APIs with Lambda authorizers"). */
  const event = (authorization?: string) => ({
    version: '2.0',
    type: 'REQUEST',
    routeArn: 'arn:aws:execute-api:eu-central-1:123456789012:api/$default/GET/api/agents',
    identitySource: authorization === undefined ? null : [authorization],
    routeKey: 'GET /api/agents',
    headers: authorization === undefined ? {} : { authorization },
    requestContext: { requestId: 'request-1', http: { method: 'GET', path: '/api/agents' } },
  })

  it('admits the member', async () => {
    const token = await sign(member)
    expect(await authorize(event(`Bearer ${token}`), lambdaContext())).toEqual({ isAuthorized: true, context: member })
    expect(await authorize(event(`bearer ${token}`), lambdaContext())).toMatchObject({ isAuthorized: true })
  })

  it.each([[undefined], [''], ['Bearer'], ['Bearer x.y.z'], ['Basic dTpw']])('refuses "%s"', async (header) => {
    expect(await authorize(event(header), lambdaContext())).toEqual({ isAuthorized: false })
  })

  it('never logs the token', async () => {
    const token = await sign(member, { exp: '-1s' })
    await authorize(event(`Bearer ${token}`), lambdaContext())
    expect(logs.text()).toContain('Token refused')
    expect(logs.text()).not.toContain(token.slice(0, 20))
  })

  it('throws when the secret cannot be had, which the gateway answers with 500', async () => {
    const broken = authorizerHandler(createTokenVerifier(() => Promise.reject(new Error('no secret'))))
    await expect(broken(event(`Bearer ${await sign(member)}`), lambdaContext())).rejects.toThrow('no secret')
  })
})
