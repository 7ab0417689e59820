/** Events as the gateways send them, a Lambda context, and the lines that a function logs. */
import type { Context } from 'aws-lambda'
import { afterEach, beforeEach, vi } from 'vitest'

/** API Gateway's HTTP API event, payload 2.0 (developer guide, "Create AWS Lambda proxy integrations for HTTP APIs"). */
export function httpEvent(overrides: Record<string, unknown> = {}) {
  return {
    version: '2.0',
    routeKey: 'POST /api/agents/spawn',
    rawPath: '/api/agents/spawn',
    rawQueryString: '',
    headers: { authorization: 'Bearer header.payload.signature', 'content-type': 'application/json' },
    requestContext: {
      accountId: '123456789012',
      apiId: 'api',
      authorizer: { lambda: { userId: 'user-1', teamId: 'team-1' } },
      domainName: 'example.com',
      http: {
        method: 'POST',
        path: '/api/agents/spawn',
        protocol: 'HTTP/1.1',
        sourceIp: '192.0.2.1',
        userAgent: 'vitest',
      },
      requestId: 'request-1',
      routeKey: 'POST /api/agents/spawn',
      stage: '$default',
      time: '12/Mar/2025:19:03:58 +0000',
      timeEpoch: 1_741_806_238_390,
    },
    isBase64Encoded: false,
    ...overrides,
  }
}

export function lambdaContext(overrides: Partial<Context> = {}): Context {
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: 'function',
    functionVersion: '$LATEST',
    invokedFunctionArn: 'arn:aws:lambda:eu-central-1:123456789012:function:function',
    memoryLimitInMB: '512',
    awsRequestId: 'lambda-request-1',
    logGroupName: '/aws/lambda/function',
    logStreamName: 'stream',
    getRemainingTimeInMillis: () => 10_000,
    done: () => undefined,
    fail: () => undefined,
    succeed: () => undefined,
    ...overrides,
  }
}

type Line = Record<string, unknown>

/** Log lines of the running test, parsed; nothing of them reaches the terminal. */
export function capturedLogs(): { lines: () => Line[]; text: () => string } {
  let text = ''
  beforeEach(() => {
    text = ''
    const take = (chunk: unknown) => {
      text += String(chunk)
      return true
    }
    vi.spyOn(process.stdout, 'write').mockImplementation(take)
    vi.spyOn(process.stderr, 'write').mockImplementation(take)
  })
  afterEach(() => {
    vi.restoreAllMocks()
  })
  const lines = () =>
    text
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line): Line => JSON.parse(line))
  return { lines, text: () => text }
}
