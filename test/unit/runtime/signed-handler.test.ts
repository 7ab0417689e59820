import { createHash, createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { SIGNATURE_VALID_MS } from '../../../shared/contracts/limits.ts'
import { ErrorAnswerSchema, routes } from '../../../shared/contracts/routes.ts'
import { sign } from '../../../shared/runtime/signature.ts'
import { signedHandler } from '../../../shared/runtime/signed-handler.ts'
import { capturedLogs, httpEvent, lambdaContext } from './support.ts'

const logs = capturedLogs()
const NOW = new Date('2026-01-02T03:04:05.000Z')
const PATH = '/internal/teams/team-1'
const request = { method: 'DELETE', path: PATH, body: Buffer.alloc(0) }

async function send(overrides: Record<string, unknown> = {}, secret = async () => 'the secret') {
  const removed: string[] = []
  const handler = signedHandler(
    routes.removeTeam,
    secret,
    async ({ params }) => {
      removed.push(params.teamId)
      return { message: 'gone', teamId: params.teamId }
    },
    { now: () => NOW },
  )
  const event = httpEvent({ rawPath: PATH, pathParameters: { teamId: 'team-1' }, ...overrides })
  event.requestContext.http.method = 'DELETE'
  const answer = await handler(event, lambdaContext())
  return { ...answer, json: JSON.parse(answer.body) as unknown, removed }
}
const headers = (at = NOW, secret = 'the secret', signed: Partial<typeof request> = {}) =>
  sign({ ...request, ...signed }, secret, at)
const later = (ms: number) => new Date(NOW.getTime() + ms)

describe('a signed route', () => {
  it('takes a request that is signed as the documents say', async () => {
    // Written out by hand: what another program has to do.
    const timestamp = '1767323045'
    const digest = createHash('sha256').update('').digest('hex')
    const signature = createHmac('sha256', 'the secret')
      .update(`${timestamp}\nDELETE\n${PATH}\n${digest}`)
      .digest('hex')
    const byHand = { 'x-covibes-timestamp': timestamp, 'x-covibes-signature': signature }
    expect(headers()).toEqual(byHand)
    expect(await send({ headers: byHand })).toMatchObject({ statusCode: 200, removed: ['team-1'] })
  })

  it.each([
    ['a little in the past', later(-SIGNATURE_VALID_MS)],
    ['a little in the future', later(SIGNATURE_VALID_MS)],
  ])('takes one that was signed %s', async (_name, at) => {
    expect((await send({ headers: headers(at) })).statusCode).toBe(200)
  })

  it.each([
    ['nothing', {}, /x-covibes-timestamp/],
    ['no timestamp', { ...headers(), 'x-covibes-timestamp': undefined }, /x-covibes-timestamp/],
    ['no number for a timestamp', { ...headers(), 'x-covibes-timestamp': 'now' }, /x-covibes-timestamp/],
    ['a signature of another length', { ...headers(), 'x-covibes-signature': 'ab' }, /64 hex digits/],
    ['another secret', headers(NOW, 'another'), /not that of this request/],
    ['another method', headers(NOW, 'the secret', { method: 'GET' }), /not that of this request/],
    ['another path', headers(NOW, 'the secret', { path: `${PATH}2` }), /not that of this request/],
    ['another body', headers(NOW, 'the secret', { body: Buffer.from('x') }), /not that of this request/],
    ['a newer time put on it', { ...headers(), 'x-covibes-timestamp': '1767323046' }, /not that of this request/],
    ['an old time', headers(later(-SIGNATURE_VALID_MS - 1000)), /5 minutes/],
    ['a time to come', headers(later(SIGNATURE_VALID_MS + 1000)), /5 minutes/],
  ])('refuses %s with 401 and says what is wrong', async (_name, given, words) => {
    const { statusCode, json, removed } = await send({ headers: given })
    expect(statusCode).toBe(401)
    expect(ErrorAnswerSchema.parse(json)).toMatchObject({ code: 'UNAUTHORIZED', message: expect.stringMatching(words) })
    expect(removed).toEqual([])
    expect(logs.text()).not.toContain('the secret')
  })

  it('signs the bytes of the body, encoded by the gateway or not', async () => {
    const body = Buffer.from('{"ü":1}')
    const signed = headers(NOW, 'the secret', { body })
    expect((await send({ headers: signed, body: body.toString('utf8') })).statusCode).toBe(200)
    const encoded = { headers: signed, body: body.toString('base64'), isBase64Encoded: true }
    expect((await send(encoded)).statusCode).toBe(200)
  })

  it('does not take its own trouble for a bad signature', async () => {
    const { statusCode, removed } = await send({ headers: headers() }, async () => {
      throw new Error('Secrets Manager is away')
    })
    expect(statusCode).toBe(500)
    expect(removed).toEqual([])
  })
})
