/** What comes out of a handler: answers, errors, and the lines of its log. */
import { describe, expect, it } from 'vitest'
import { ErrorAnswerSchema, type Route } from '../../../shared/contracts/routes.ts'
import { CorruptRecord, Refused, TooManyAgents, Unavailable } from '../../../shared/domain/errors.ts'
import { answer, httpHandler } from '../../../shared/runtime/http-handler.ts'
import { logger } from '../../../shared/runtime/logger.ts'
import { capturedLogs, httpEvent, lambdaContext } from './support.ts'

const logs = capturedLogs()
const open = { method: 'GET', path: '/open', auth: 'none', summary: '', handler: 'open' } as const satisfies Route

/** What a client sees when the handler throws. */
async function answerTo(error: Error) {
  const handler = httpHandler(open, () => Promise.reject(error))
  const result = await handler(httpEvent(), lambdaContext())
  return { ...result, json: ErrorAnswerSchema.parse(JSON.parse(result.body)) }
}

describe('answers', () => {
  it('may have another status, headers and a text', async () => {
    const handler = httpHandler(open, async () => answer(201, 'ok', { 'content-type': 'text/html', vary: 'origin' }))
    expect(await handler(httpEvent(), lambdaContext())).toEqual({
      statusCode: 201,
      body: 'ok',
      headers: {
        'content-type': 'text/html',
        'cache-control': 'no-store',
        vary: 'origin',
        'x-correlation-id': 'request-1',
      },
    })
  })

  it('may be empty', async () => {
    const handler = httpHandler(open, async () => answer(204))
    expect(await handler(httpEvent(), lambdaContext())).toMatchObject({ statusCode: 204, body: '' })
  })
})

describe('errors', () => {
  it('of the domain keep code, status and message', async () => {
    const result = await answerTo(new TooManyAgents(20))
    expect(result.statusCode).toBe(429)
    expect(result.json).toMatchObject({ code: 'TOO_MANY_AGENTS', message: expect.stringContaining('20 agents') })
    expect((await answerTo(new Refused(418, 'teapot'))).statusCode).toBe(418)
  })

  it('that nobody expected are 500 without their text, and logged with their stack', async () => {
    const result = await answerTo(new Error('password=hunter2'))
    expect(result.json).toEqual({ message: 'Internal error', code: 'INTERNAL', requestId: 'request-1' })
    const line = logs.lines().find(({ level }) => level === 'ERROR')
    expect(line).toMatchObject({ message: 'Request failed', error: { stack: expect.stringContaining('hunter2') } })
  })

  it('of a stored record tell the log which, and the client nothing', async () => {
    const result = await answerTo(new CorruptRecord('environment team-9/x: status: Invalid'))
    expect(result.statusCode).toBe(500)
    expect(result.body).not.toContain('team-9')
    expect(logs.text()).toContain('environment team-9/x')
  })

  it.each([
    [Object.assign(new Error('slow down'), { name: 'ProvisionedThroughputExceededException' })],
    [Object.assign(new Error('slow down'), { name: 'ThrottlingException' })],
    [Object.assign(new Error('slow down'), { name: 'RequestThrottled' })],
    [Object.assign(new Error('x'), { name: 'Whatever', $retryable: { throttling: true } })],
    [
      Object.assign(new Error('x'), {
        name: 'TransactionCanceledException',
        CancellationReasons: [{ Code: 'None' }, { Code: 'ThrottlingError' }],
      }),
    ],
    [Object.assign(new Error('x'), { name: 'InternalServerError', $metadata: { httpStatusCode: 500 } })],
    [Object.assign(new Error('x'), { name: 'TimeoutError' })],
    [Object.assign(new Error('x'), { code: 'ECONNREFUSED' })],
    [new Unavailable('later', { retryAfterSeconds: 9 })],
  ])('of a busy or absent dependency are 503 with Retry-After: %s', async (error) => {
    const result = await answerTo(error)
    expect(result.json.code).toBe('UNAVAILABLE')
    expect(result.statusCode).toBe(503)
    expect(Number(result.headers['retry-after'])).toBeGreaterThan(0)
  })

  it.each([
    [
      Object.assign(new Error('x'), {
        name: 'TransactionCanceledException',
        CancellationReasons: [{ Code: 'ConditionalCheckFailed' }],
      }),
    ],
    [Object.assign(new Error('x'), { name: 'ValidationException', $metadata: { httpStatusCode: 400 } })],
  ])('that are bugs stay 500: %s', async (error) => {
    expect((await answerTo(error)).statusCode).toBe(500)
  })

  it.each([['just a string'], [undefined], [Object.create(null)]])(
    'survive a thrown value that is none: %o',
    async (thrown) => {
      const handler = httpHandler(open, () => Promise.reject(thrown))
      expect((await handler(httpEvent(), lambdaContext())).statusCode).toBe(500)
      expect(logs.text()).toContain('Thrown: ')
    },
  )

  it('answers 500 to what is no HTTP event', async () => {
    const handler = httpHandler(open, async () => ({}))
    const { statusCode, body } = await handler({ Records: [] }, lambdaContext())
    expect(statusCode).toBe(500)
    expect(ErrorAnswerSchema.parse(JSON.parse(body)).requestId).toBe('lambda-request-1')
  })

  it('answers 503 shortly before the platform would end the function', async () => {
    const handler = httpHandler(open, () => new Promise<never>(() => undefined))
    const context = lambdaContext({ getRemainingTimeInMillis: () => 320 })
    expect((await handler(httpEvent(), context)).statusCode).toBe(503)
  })
})

describe('log lines', () => {
  it('tell what was put off from what has failed', async () => {
    const cause = new Error('refused')
    await answerTo(new Unavailable('The workspace is being woken up'))
    await answerTo(new Unavailable('The existing server cannot be reached', { cause }))
    const said = logs.lines().map(({ level, message }) => [level, message])
    expect(said).toContainEqual(['WARN', 'Request put off'])
    expect(said).toContainEqual(['ERROR', 'Request failed'])
  })

  it('carry correlation id, route, member and request, also for requests side by side', async () => {
    const arrived = Promise.withResolvers<void>()
    const handler = httpHandler(open, async ({ correlationId }) => {
      if (correlationId === 'first') await arrived.promise
      logger.info('Working')
      arrived.resolve()
      return {}
    })
    const event = (id: string) => httpEvent({ headers: { 'x-correlation-id': id } })
    await Promise.all([handler(event('first'), lambdaContext()), handler(event('second'), lambdaContext())])
    const working = logs.lines().filter(({ message }) => message === 'Working')
    expect(working.map(({ correlationId }) => correlationId)).toEqual(['second', 'first'])
    expect(working[0]).toMatchObject({
      route: 'GET /open',
      requestId: 'request-1',
      userId: 'user-1',
      teamId: 'team-1',
      level: 'INFO',
    })
    const answered = logs.lines().filter(({ message }) => message === 'Request answered')
    expect(answered).toHaveLength(2)
    expect(answered[0]).toMatchObject({ status: 200, durationMs: expect.any(Number) })
  })
})
