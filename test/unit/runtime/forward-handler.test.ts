import { describe, expect, it } from 'vitest'
import { LAMBDA_MAX_RESPONSE_BYTES } from '../../../shared/contracts/limits.ts'
import { ForwardingFailed, type ForwardingFailure } from '../../../shared/domain/forwarding/errors.ts'
import type { ForwardedAnswer, ForwardRequest } from '../../../shared/domain/forwarding/ports.ts'
import { forwardHandler } from '../../../shared/runtime/forward-handler.ts'
import { capturedLogs, httpEvent, lambdaContext } from './support.ts'

const logs = capturedLogs()

const answer = (fields: Partial<ForwardedAnswer> = {}): ForwardedAnswer => ({
  status: 200,
  headers: { 'content-type': 'text/html' },
  cookies: [],
  body: Buffer.from('<p>'),
  ...fields,
})
const handled = (given: ForwardedAnswer | Error, event: unknown = httpEvent()) =>
  forwardHandler(async () => {
    if (given instanceof Error) throw given
    return given
  })(event, lambdaContext())
const bodyOf = ({ body, isBase64Encoded }: { body: string; isBase64Encoded: boolean }) =>
  Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8')

describe('the request', () => {
  it('is the gateway’s event, byte by byte', async () => {
    let seen: ForwardRequest | undefined
    const forward = forwardHandler(async (request) => {
      seen = request
      return answer()
    })
    const bytes = Buffer.from([0, 255, 10])
    const event = httpEvent({
      rawPath: '/api/ide/file',
      rawQueryString: 'path=a%2Fb&path=c',
      cookies: ['a=1', 'b=2'],
      headers: { host: 'api.example.com', 'x-other': '1,2' },
      body: bytes.toString('base64'),
      isBase64Encoded: true,
    })
    await forward(event, lambdaContext())
    expect(seen).toEqual({
      method: 'POST',
      path: '/api/ide/file',
      rawQuery: 'path=a%2Fb&path=c',
      headers: { host: 'api.example.com', 'x-other': '1,2' },
      cookies: ['a=1', 'b=2'],
      body: bytes,
      host: 'api.example.com',
    })
  })

  it('that is not an HTTP API’s is a fault of ours', async () => {
    const result = await handled(answer(), { Records: [] })
    expect([result.statusCode, JSON.parse(result.body)]).toEqual([
      500,
      { message: 'Internal error', code: 'INTERNAL', requestId: 'lambda-request-1' },
    ])
  })
})

describe('the answer', () => {
  it.each([
    ['text', Buffer.from('<p>é</p>')],
    ['bytes of no charset', Buffer.from([0x89, 0x50, 0, 0xff])],
    ['nothing', Buffer.alloc(0)],
  ])('keeps its body: %s', async (_, body) => {
    const result = await handled(answer({ status: 207, cookies: ['a=1', 'b=2'], body }))
    expect(result).toMatchObject({ statusCode: 207, headers: { 'content-type': 'text/html' }, cookies: ['a=1', 'b=2'] })
    expect(bodyOf(result).equals(body)).toBe(true)
  })

  it.each([
    ['bytes that fit', Buffer.alloc(4_600_000, 255), true],
    ['text that fits only as text', Buffer.from('a'.repeat(6_000_000)), true],
    ['bytes that do not fit', Buffer.alloc(4_800_000, 255), false],
    ['text whose JSON does not fit', Buffer.from('"'.repeat(4_800_000)), false],
  ])('stays below what a function may give back: %s', async (_, body, fits) => {
    const result = await handled(answer({ body }))
    expect(Buffer.byteLength(JSON.stringify(result))).toBeLessThanOrEqual(LAMBDA_MAX_RESPONSE_BYTES)
    if (fits) expect(bodyOf(result).equals(body)).toBe(true)
    else
      expect([result.statusCode, JSON.parse(result.body).message]).toEqual([502, expect.stringMatching(/larger than/)])
  })
})

describe('no answer', () => {
  it.each<[ForwardingFailure, number, string]>([
    ['not-configured', 404, 'NOT_FOUND'],
    ['not-foreign', 404, 'NOT_FOUND'],
    ['unreachable', 502, 'BAD_GATEWAY'],
    ['too-large', 502, 'BAD_GATEWAY'],
    ['aborted', 502, 'BAD_GATEWAY'],
    ['timeout', 504, 'GATEWAY_TIMEOUT'],
  ])('%s is a %i that a person can read, and in the log with its cause', async (failure, status, code) => {
    const error = new ForwardingFailed(failure, { cause: new Error('connect ECONNREFUSED 10.0.0.7:3001') })
    const result = await handled(error)
    expect(result.statusCode).toBe(status)
    expect(JSON.parse(result.body)).toEqual({ message: error.message, code, requestId: 'request-1' })
    expect(result.body).not.toContain('10.0.0.7')
    expect(logs.text().includes('ECONNREFUSED')).toBe(status >= 500)
  })

  it('a fault of ours is a 500 without its text', async () => {
    const result = await handled(new TypeError('secret detail'))
    expect([result.statusCode, JSON.parse(result.body).message]).toEqual([500, 'Internal error'])
    expect(logs.text()).toContain('secret detail')
  })
})

it('logs neither path nor query nor headers: they may hold tokens', async () => {
  await handled(answer(), httpEvent({ rawPath: '/api/reset/s3cret', rawQueryString: 'token=s3cret' }))
  expect(logs.text()).toContain('Request answered')
  expect(logs.text()).not.toMatch(/s3cret|header\.payload\.signature/)
})
