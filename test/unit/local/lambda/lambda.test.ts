import { createServer } from 'node:http'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { listen } from '../../../../local/common/listen.ts'
import { createLambda } from '../../../../local/lambda/lambda.ts'
import { lambdaOf } from './bundle.ts'

/** A server that tests and functions meet at: it tells of each request and holds the answer until it is released. */
async function meetingPoint() {
  const arrivals: { path: string; release: () => void }[] = []
  let waiter: (() => void) | undefined
  const server = createServer((request, response) => {
    arrivals.push({ path: request.url ?? '', release: () => response.end('ok') })
    waiter?.()
  })
  const url = await listen(server)
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    url,
    arrivals,
    async arrived(count: number): Promise<void> {
      while (arrivals.length < count) await new Promise<void>((resolve) => (waiter = resolve))
    },
    release: () => {
      for (const { release } of arrivals) release()
    },
  }
}

describe('an invocation', () => {
  it('gives the handler the event and a context, and gives back the result', async () => {
    const source = `export const handler = async (event, context) => ({
      event, name: context.functionName, arn: context.invokedFunctionArn, version: context.functionVersion,
      memory: context.memoryLimitInMB, group: context.logGroupName, id: context.awsRequestId,
      remaining: context.getRemainingTimeInMillis() })`
    const lambda = lambdaOf(source, { timeoutSeconds: 7 })
    const response = await lambda.invoke('subject', { a: [1, 'é'] })
    expect(response).toMatchObject({
      statusCode: 200,
      functionError: undefined,
      payload: {
        event: { a: [1, 'é'] },
        name: 'subject',
        arn: 'arn:aws:lambda:us-east-1:000000000000:function:subject',
        version: '$LATEST',
        memory: '128',
        group: '/aws/lambda/subject',
        id: response.requestId,
      },
    })
    const { remaining } = response.payload as { remaining: number }
    expect(remaining).toBeGreaterThan(5_000)
    expect(remaining).toBeLessThanOrEqual(7_000)
  })

  it.each([
    ['its name', 'subject'],
    ['its ARN', 'arn:aws:lambda:us-east-1:000000000000:function:subject'],
    ['a qualified ARN', 'arn:aws:lambda:us-east-1:000000000000:function:subject:live'],
  ])('finds the function by %s', async (_, name) => {
    const lambda = lambdaOf('export const handler = async () => 1')
    expect((await lambda.invoke(name, {})).payload).toBe(1)
  })

  it('gives null for a handler that returns nothing', async () => {
    expect((await lambdaOf('export const handler = async () => {}').invoke('subject', {})).payload).toBeNull()
  })

  it('refuses a function that is not there', async () => {
    await expect(createLambda({ functions: [] }).invoke('nobody', {})).rejects.toMatchObject({
      code: 'ResourceNotFoundException',
      statusCode: 404,
    })
  })

  it.each([
    ['RequestResponse', 6 * 1024 * 1024],
    ['Event', 1024 * 1024],
  ] as const)('refuses a %s payload over its limit', async (type, limit) => {
    const lambda = lambdaOf('export const handler = async (event) => event.length')
    const refused = lambda.invoke('subject', 'x'.repeat(limit - 1), { type })
    await expect(refused).rejects.toMatchObject({ code: 'RequestTooLargeException', statusCode: 413 })
    expect((await lambda.invoke('subject', 'x'.repeat(limit - 2), { type })).statusCode).toBeLessThan(300)
  })

  it('fails a response over 6 MB', async () => {
    const lambda = lambdaOf(`export const handler = async () => 'x'.repeat(6 * 1024 * 1024 + 99)`)
    expect(await lambda.invoke('subject', {})).toMatchObject({
      functionError: 'Unhandled',
      payload: { errorType: 'Function.ResponseSizeTooLarge' },
    })
  })
})

describe('a failure', () => {
  it.each([
    ['a thrown error', 'export const handler = async () => { throw new TypeError("no") }', 'TypeError', 'no'],
    ['a thrown value', 'export const handler = async () => { throw "plain" }', 'string', 'plain'],
    [
      'an unhandled rejection',
      'export const handler = () => { Promise.reject(new Error("lost")); return new Promise(() => setInterval(() => {}, 1e6)) }',
      'Runtime.UnhandledPromiseRejection',
      'lost',
    ],
    [
      'process.exit',
      'export const handler = () => process.exit(3)',
      'Runtime.ExitError',
      'Runtime exited with error: exit status 3',
    ],
    ['an import that throws', 'throw new RangeError("at init"); export const handler = 1', 'RangeError', 'at init'],
    [
      'a handler that is not there',
      'export const other = 1',
      'Runtime.HandlerNotFound',
      'index.handler is undefined or not exported',
    ],
  ])('%s is a function error', async (_, source, errorType, message) => {
    const response = await lambdaOf(source).invoke('subject', {})
    expect(response).toMatchObject({ statusCode: 200, functionError: 'Unhandled', payload: { errorType } })
    expect((response.payload as { errorMessage: string }).errorMessage).toContain(message)
  })

  it('names a bundle without the handler file', async () => {
    const lambda = lambdaOf('export const handler = 1', { handler: 'other.handler' })
    const { payload } = await lambda.invoke('subject', {})
    expect(payload).toMatchObject({ errorType: 'Runtime.ImportModuleError' })
  })

  it('ends an invocation at its timeout, and the next one gets a new environment', async () => {
    const source = `let calls = 0; export const handler = async (event) => {
      calls++; if (event.hang) for (;;); return calls }`
    const lambda = lambdaOf(source, { timeoutSeconds: 0.3 })
    expect((await lambda.invoke('subject', {})).payload).toBe(1)
    const { payload } = await lambda.invoke('subject', { hang: true })
    expect(payload).toMatchObject({ errorType: 'Sandbox.Timedout' })
    expect((payload as { errorMessage: string }).errorMessage).toContain('Task timed out after 0.30 seconds')
    expect((await lambda.invoke('subject', {})).payload).toBe(1)
  })

  it('ends a function that takes more memory than it has', async () => {
    const source = `export const handler = async () => { const all = []; for (;;) all.push(new Array(1e5).fill(Math.random())) }`
    const { payload } = await lambdaOf(source, { memoryMb: 32 }).invoke('subject', {})
    expect(payload).toMatchObject({ errorType: 'Runtime.ExitError' })
    expect((payload as { errorMessage: string }).errorMessage).toContain('signal: killed')
  })
})

describe('an environment', () => {
  it('has only its own variables', async () => {
    const source = 'export const handler = async () => ({ ...process.env })'
    vi.stubEnv('SECRET_OF_THE_HOST', 'x')
    onTestFinished(() => void vi.unstubAllEnvs())
    const endpointVariables = () => ({ AWS_ENDPOINT_URL_ECS: 'http://127.0.0.1:1' })
    const { payload } = await lambdaOf(source, { environment: { TABLE: 't' } }, { endpointVariables }).invoke(
      'subject',
      {},
    )
    expect(payload).toMatchObject({
      TABLE: 't',
      AWS_REGION: 'us-east-1',
      AWS_ENDPOINT_URL_ECS: 'http://127.0.0.1:1',
      AWS_LAMBDA_FUNCTION_NAME: 'subject',
      AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '128',
      AWS_ACCESS_KEY_ID: expect.stringMatching(/^AKIALOCAL/),
      _X_AMZN_TRACE_ID: expect.stringMatching(/^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16}/),
    })
    expect(payload).not.toHaveProperty('SECRET_OF_THE_HOST')
    expect(payload).not.toHaveProperty('HOME')
  })

  it('is used again, one invocation at a time', async () => {
    const source = 'let calls = 0; export const handler = async () => ++calls'
    const lambda = lambdaOf(source)
    for (const expected of [1, 2, 3]) expect((await lambda.invoke('subject', {})).payload).toBe(expected)
    expect(lambda.metrics().subject).toMatchObject({ invocations: 3, coldStarts: 1, errors: 0 })
  })

  it('stands still between invocations', async () => {
    const source = `let ticks = 0; export const handler = async (event) => {
      if (event.start) setInterval(() => ticks++, 1)
      else await new Promise((resolve) => setImmediate(resolve))
      return ticks }`
    const ticksAfterWait = async (freeze: boolean) => {
      const lambda = lambdaOf(source, {}, { freeze })
      await lambda.invoke('subject', { start: true })
      await new Promise((resolve) => setTimeout(resolve, 60)) // the time itself is what is tested
      return (await lambda.invoke('subject', {})).payload as number
    }
    expect(await ticksAfterWait(true)).toBeLessThan(5)
    expect(await ticksAfterWait(false)).toBeGreaterThan(5)
  })

  it('is ended when it has been idle for long', async () => {
    const lambda = lambdaOf(
      'let calls = 0; export const handler = async () => [++calls, process.env.AWS_ACCESS_KEY_ID]',
      {},
      { idleTtlMs: 1 },
    )
    const [calls, accessKeyId] = (await lambda.invoke('subject', {})).payload as [number, string]
    expect(calls).toBe(1)
    await vi.waitFor(() => expect(lambda.environmentOfAccessKey(accessKeyId)).toBeUndefined(), { timeout: 10_000 })
    expect((await lambda.invoke('subject', {})).payload).toEqual([1, expect.not.stringMatching(accessKeyId)])
  })
})

describe('concurrency', () => {
  const source = 'export const handler = async (event) => (await fetch(event.url + event.path)).text()'

  it('runs as many invocations at once as the limit, and throttles above it', async () => {
    const meeting = await meetingPoint()
    const lambda = lambdaOf(source, { reservedConcurrency: 3 })
    const invoke = () => lambda.invoke('subject', { url: meeting.url, path: '/' })
    const under = [invoke(), invoke(), invoke()]
    await meeting.arrived(3)
    await expect(invoke()).rejects.toMatchObject({
      code: 'TooManyRequestsException',
      statusCode: 429,
      fields: { Reason: 'ReservedFunctionConcurrentInvocationLimitExceeded' },
    })
    meeting.release()
    expect((await Promise.all(under)).map(({ payload }) => payload)).toEqual(['ok', 'ok', 'ok'])
    expect(lambda.metrics().subject).toMatchObject({ coldStarts: 3, throttles: 1, maxConcurrency: 3 })
  })

  it('throttles above the concurrency of all functions', async () => {
    const meeting = await meetingPoint()
    const lambda = lambdaOf(source, {}, { totalConcurrency: 1 })
    const first = lambda.invoke('subject', { url: meeting.url, path: '/' })
    await meeting.arrived(1)
    await expect(lambda.invoke('subject', {})).rejects.toMatchObject({ statusCode: 429 })
    meeting.release()
    await first
  })

  it('makes asynchronous invocations wait for a place, and runs them in order', async () => {
    const meeting = await meetingPoint()
    const lambda = lambdaOf(source, {}, { totalConcurrency: 1 })
    for (const path of ['/1', '/2', '/3']) {
      const accepted = await lambda.invoke('subject', { url: meeting.url, path }, { type: 'Event' })
      expect(accepted).toMatchObject({ statusCode: 202, payload: undefined })
    }
    for (const count of [1, 2, 3]) {
      await meeting.arrived(count)
      meeting.arrivals[count - 1]?.release()
    }
    expect(meeting.arrivals.map(({ path }) => path)).toEqual(['/1', '/2', '/3'])
  })
})

describe('output', () => {
  it('comes line by line with the request it belongs to', async () => {
    const lines: unknown[][] = []
    const source = `console.log('init'); export const handler = async (event) => {
      process.stdout.write('half '); console.error('line'); console.log('two\\nlines'); process.stdout.write('rest') }`
    const onLog = (...line: unknown[]) => void lines.push(line)
    const { requestId } = await lambdaOf(source, {}, { onLog }).invoke('subject', {})
    expect(lines).toEqual([
      ['subject', undefined, 'init'],
      ['subject', requestId, 'half line'],
      ['subject', requestId, 'two'],
      ['subject', requestId, 'lines'],
      ['subject', requestId, 'rest'],
    ])
  })
})

describe('an asynchronous invocation that fails', () => {
  const failing = 'export const handler = async (event) => { throw new Error("attempt") }'

  it('is retried twice, then given up', async () => {
    const onAsyncFailure = vi.fn()
    const options = { onAsyncFailure, retryDelaysMs: [1] }
    const lambda = lambdaOf(failing, { deadLetterTarget: 'arn:dlq', onFailureDestination: 'arn:bus' }, options)
    const { requestId } = await lambda.invoke('subject', { n: 1 }, { type: 'Event' })
    await vi.waitFor(() => expect(onAsyncFailure).toHaveBeenCalledOnce(), { timeout: 10_000 })
    expect(lambda.metrics().subject).toMatchObject({ invocations: 3, errors: 3 })
    expect(onAsyncFailure).toHaveBeenCalledWith(
      expect.objectContaining({
        requestId,
        event: { n: 1 },
        attempts: 3,
        condition: 'RetriesExhausted',
        deadLetterTarget: 'arn:dlq',
        destination: 'arn:bus',
        error: expect.objectContaining({ errorMessage: 'attempt' }),
        record: expect.objectContaining({ requestPayload: { n: 1 }, version: '1.0' }),
      }),
    )
  })

  it('keeps its request id in the retries and stops when one succeeds', async () => {
    const meeting = await meetingPoint()
    const source = `export const handler = async (event, context) => {
      await fetch(event.url + '/' + context.awsRequestId); if (!globalThis.again) { globalThis.again = true; throw new Error() } }`
    const onAsyncFailure = vi.fn()
    const lambda = lambdaOf(source, {}, { onAsyncFailure, retryDelaysMs: [1] })
    const { requestId } = await lambda.invoke('subject', { url: meeting.url }, { type: 'Event' })
    for (const count of [1, 2]) {
      await meeting.arrived(count)
      meeting.arrivals[count - 1]?.release()
    }
    await vi.waitFor(() => expect(lambda.metrics().subject?.invocations).toBe(2), { timeout: 10_000 })
    expect(meeting.arrivals.map(({ path }) => path)).toEqual([`/${requestId}`, `/${requestId}`])
    expect(onAsyncFailure).not.toHaveBeenCalled()
  })

  it.each([
    [{ maximumRetryAttempts: 0 }, 'RetriesExhausted', 1],
    [{ maximumEventAgeSeconds: 0 }, 'EventAgeExceeded', 1],
  ])('with %o is given up after its first attempt', async (configuration, condition, attempts) => {
    const onAsyncFailure = vi.fn()
    const lambda = lambdaOf(failing, configuration, { onAsyncFailure, retryDelaysMs: [1] })
    await lambda.invoke('subject', {}, { type: 'Event' })
    await vi.waitFor(() => expect(onAsyncFailure).toHaveBeenCalledOnce(), { timeout: 10_000 })
    expect(onAsyncFailure).toHaveBeenCalledWith(expect.objectContaining({ condition, attempts }))
  })

  it('is given up at once when too many wait', async () => {
    const onAsyncFailure = vi.fn()
    const lambda = lambdaOf(failing, { reservedConcurrency: 0 }, { onAsyncFailure, maxQueuedEvents: 1 })
    await lambda.invoke('subject', 1, { type: 'Event' })
    await lambda.invoke('subject', 2, { type: 'Event' })
    expect(onAsyncFailure).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ condition: 'QueueFull', event: 2 }),
    )
  })
})
