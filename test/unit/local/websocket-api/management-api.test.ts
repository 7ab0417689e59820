import {
  type ApiGatewayManagementApiClient,
  DeleteConnectionCommand,
  GetConnectionCommand,
  PostToConnectionCommand,
} from '@aws-sdk/client-apigatewaymanagementapi'
import { describe, expect, it, vi } from 'vitest'
import type { AwsCall } from '../../../../local/common/aws-call.ts'
import { AwsError } from '../../../../local/common/aws-error.ts'
import { Client, managementClient, serve } from './api.ts'

const ok = () => ({ statusCode: 200 })
const post = (management: ApiGatewayManagementApiClient, ConnectionId: string, Data: string) =>
  management.send(new PostToConnectionCommand({ ConnectionId, Data }))

/** An API with one client. */
async function connected(
  options: Parameters<typeof serve>[1] = {},
  functions: Parameters<typeof serve>[0] = { connect: ok },
) {
  const served = await serve(functions, options)
  const client = await Client.connect(`${served.url}/live`, { headers: { 'User-Agent': 'test' } })
  const [connectionId = ''] = served.api.connectionIds()
  return { ...served, client, connectionId }
}

describe('@connections', () => {
  it('posts text in the order of the calls', async () => {
    const { management, connectionId, client, api } = await connected()
    await post(management, connectionId, 'hé')
    const texts = Array.from({ length: 50 }, (_, i) => String(i))
    for (const text of texts) await post(management, connectionId, text)
    expect(await client.messages(51)).toEqual(['hé', ...texts])
    expect(api.metrics()).toMatchObject({ posts: 51, connects: 1, open: 1 })
  })

  it('tells about a connection', async () => {
    const { management, connectionId } = await connected()
    const info = await management.send(new GetConnectionCommand({ ConnectionId: connectionId }))
    expect(info.Identity).toEqual({ SourceIp: '127.0.0.1', UserAgent: 'test' })
    expect(info.ConnectedAt).toBeInstanceOf(Date)
    expect(info.LastActiveAt?.getTime()).toBeGreaterThanOrEqual(info.ConnectedAt?.getTime() ?? Number.NaN)
  })

  it('deletes a connection, which is then gone', async () => {
    const disconnected = Promise.withResolvers<unknown>()
    const functions = { disconnect: (event: { requestContext: object }) => disconnected.resolve(event.requestContext) }
    const { management, connectionId, client } = await connected({}, functions)
    const closed = client.closed()
    const { $metadata } = await management.send(new DeleteConnectionCommand({ ConnectionId: connectionId }))
    expect($metadata.httpStatusCode).toBe(204)
    expect((await closed)[0]).toBe(1000)
    expect(await disconnected.promise).toMatchObject({
      disconnectStatusCode: 1000,
      disconnectReason: 'Connection Closed Normally',
    })
    const gone = { name: 'GoneException', $metadata: { httpStatusCode: 410 } }
    await expect(post(management, connectionId, 'x')).rejects.toMatchObject(gone)
    const get = management.send(new GetConnectionCommand({ ConnectionId: connectionId }))
    await expect(get).rejects.toMatchObject(gone)
  })

  it('says 410 while $connect has not answered', async () => {
    const outcome = Promise.withResolvers<unknown>()
    let management: ApiGatewayManagementApiClient | undefined
    const connect = async (event: { requestContext: { connectionId: string } }) => {
      if (management) await post(management, event.requestContext.connectionId, 'early').catch(outcome.resolve)
      return ok()
    }
    const served = await serve({ connect })
    management = served.management
    await Client.connect(`${served.url}/live`)
    expect(await outcome.promise).toMatchObject({ name: 'GoneException' })
  })

  it('says 410 after a client was dropped', async () => {
    const { management, connectionId, client, api } = await connected()
    const error = new Promise((resolve) => client.socket.once('error', resolve))
    const closed = client.closed()
    expect(api.drop(connectionId)).toBe(true)
    await Promise.race([error, closed])
    await vi.waitFor(() => expect(api.connectionIds()).toEqual([]), { timeout: 10_000 })
    await expect(post(management, connectionId, 'x')).rejects.toMatchObject({ name: 'GoneException' })
    expect(api.drop(connectionId)).toBe(false)
  })

  it('refuses more than 128 KB with 413', async () => {
    const { management, connectionId, client } = await connected()
    const tooLarge = post(management, connectionId, 'x'.repeat(128 * 1024 + 1))
    await expect(tooLarge).rejects.toMatchObject({
      name: 'PayloadTooLargeException',
      $metadata: { httpStatusCode: 413 },
    })
    await post(management, connectionId, 'x'.repeat(128 * 1024))
    expect((await client.messages(1))[0]).toHaveLength(128 * 1024)
  })

  it('refuses with 429 when the client reads too slowly', async () => {
    const { management, connectionId, client } = await connected({ maxBufferedBytes: 200_000 })
    client.socket.pause()
    const text = 'x'.repeat(100_000)
    let posted = 0
    const fill = async () => {
      for (; posted < 1_000; posted++) await post(management, connectionId, text)
    }
    await expect(fill()).rejects.toMatchObject({ name: 'LimitExceededException', $metadata: { httpStatusCode: 429 } })
    client.socket.resume()
    expect(await client.messages(posted)).toHaveLength(posted)
    await post(management, connectionId, 'again')
    expect((await client.messages(posted + 1)).at(-1)).toBe('again')
  })

  it('refuses another stage and an unsigned call with 403', async () => {
    const { api, connectionId } = await connected()
    const other = post(managementClient(`${api.url}/other`), connectionId, 'x')
    await expect(other).rejects.toMatchObject({ name: 'ForbiddenException' })
    const unsigned = await fetch(`${api.url}/live/@connections/${encodeURIComponent(connectionId)}`, { method: 'POST' })
    expect(unsigned.status).toBe(403)
  })
})

describe('onRequest', () => {
  it('sees each call with its caller, and may refuse it', async () => {
    const calls: AwsCall[] = []
    const onRequest = (call: AwsCall) => {
      calls.push(call)
      if (calls.length === 2) throw new AwsError('LimitExceededException', 'Slow down', { statusCode: 429 })
      return undefined
    }
    const { management, connectionId } = await connected({ onRequest })
    await post(management, connectionId, '1')
    await expect(post(management, connectionId, '2')).rejects.toMatchObject({ name: 'LimitExceededException' })
    expect(calls[0]).toMatchObject({
      service: 'apigatewaymanagementapi',
      operation: 'PostToConnection',
      accessKeyId: 'AKIALOCAL1',
      input: { ConnectionId: connectionId, stage: 'live' },
    })
  })

  it.each([
    ['lose-request', ['after']],
    ['lose-answer', ['unclear', 'after']],
  ] as const)('may %s', async (disturbance, expected) => {
    let calls = 0
    const { management, connectionId, client } = await connected({
      onRequest: () => (++calls === 1 ? disturbance : undefined),
    })
    await expect(post(management, connectionId, 'unclear')).rejects.toThrow(/ECONNRESET|socket hang up/)
    await post(management, connectionId, 'after')
    expect(await client.messages(expected.length)).toEqual(expected)
  })
})
