import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ApiGatewayManagementApiClient } from '@aws-sdk/client-apigatewaymanagementapi'
import { afterEach, describe, expect, it } from 'vitest'
import { createConnectionPoster } from '../../../shared/adapters/websocket/connection-poster.ts'
import type { Log } from '../../../shared/domain/realtime/ports.ts'

type Answer = (request: IncomingMessage, response: ServerResponse) => void

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

/** The management endpoint over the wire; `requests` is what it was asked. */
async function poster(answer: Answer) {
  const requests: string[] = []
  const warnings: string[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      requests.push(`${request.method} ${request.url} ${Buffer.concat(chunks)}`.trim())
      answer(request, response)
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/prod`
  const log: Log = { info: () => undefined, warn: (message) => void warnings.push(message), error: () => undefined }
  const client = new ApiGatewayManagementApiClient({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
    requestHandler: { connectionTimeout: 500, requestTimeout: 300, throwOnRequestTimeout: true },
  })
  return { poster: createConnectionPoster(endpoint, log, client), requests, warnings }
}

const status =
  (code: number, type?: string): Answer =>
  (_request, response) => {
    response.writeHead(code, type === undefined ? {} : { 'x-amzn-errortype': type }).end('{}')
  }

describe('a post', () => {
  it('carries the text as it is', async () => {
    const bench = await poster(status(200))
    expect(await bench.poster.post('a+b/c=', '42["x","ü😀"]')).toBe('sent')
    expect(bench.requests).toEqual(['POST /prod/@connections/a%2Bb%2Fc%3D 42["x","ü😀"]'])
  })

  it.each([
    ['gone', status(410, 'GoneException')],
    ['full', status(429, 'LimitExceededException')],
    ['unclear', status(500)],
    ['unclear', status(503)],
    ['unclear', ((_request, response) => response.destroy()) as Answer],
    ['unclear', (() => undefined) as Answer],
  ])('is %s, and is not repeated', async (outcome, answer) => {
    const bench = await poster(answer)
    expect(await bench.poster.post('c', 'x')).toBe(outcome)
    expect(bench.requests).toHaveLength(1)
    expect(bench.warnings).toHaveLength(outcome === 'unclear' ? 1 : 0)
  })

  it.each([
    [403, 'ForbiddenException'],
    [413, 'PayloadTooLargeException'],
  ])('that was wrong throws (%i)', async (code, type) => {
    const bench = await poster(status(code, type))
    await expect(bench.poster.post('c', 'x')).rejects.toMatchObject({ name: type })
  })
})

describe('a close', () => {
  it('takes a connection that is gone for closed, and never throws', async () => {
    const gone = await poster(status(410, 'GoneException'))
    await gone.poster.close('c')
    expect(gone).toMatchObject({ requests: ['DELETE /prod/@connections/c'], warnings: [] })
    const failing = await poster(status(500))
    await failing.poster.close('c')
    expect(failing.warnings).toEqual(['Connection could not be closed'])
  })
})
