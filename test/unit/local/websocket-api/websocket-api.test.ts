import { connect } from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import { Client, serve } from './api.ts'

const ok = () => ({ statusCode: 200 })
const id = expect.stringMatching(/^[\w-]{15}=$/)

/** A function that hands out its events one by one. */
function recorder(result: () => unknown = ok) {
  // biome-ignore lint/suspicious/noExplicitAny: tests look into events freely
  const events: any[] = []
  let waiter: (() => void) | undefined
  const handler = (event: unknown) => {
    events.push(event)
    waiter?.()
    return result()
  }
  const take = async (count: number) => {
    while (events.length < count) await new Promise<void>((resolve) => (waiter = resolve))
    return events
  }
  return { handler, take, events }
}

describe('events', () => {
  it('have the fields that API Gateway sends', async () => {
    const [connects, messages, disconnects] = [recorder(), recorder(), recorder()]
    const functions = { connect: connects.handler, default: messages.handler, disconnect: disconnects.handler }
    const { url, api } = await serve(functions)
    const client = await Client.connect(`${url}/live?EIO=4&x=1&x=2`, {
      headers: { 'User-Agent': 'test', Origin: 'http://app' },
    })
    const domainName = url.slice('ws://'.length)
    const [connect] = await connects.take(1)
    const { connectionId, connectedAt } = connect.requestContext
    const common = {
      extendedRequestId: id,
      requestId: id,
      requestTime: expect.stringMatching(/^\d\d\/\w{3}\/\d{4}:[\d:]{8} \+0000$/),
      requestTimeEpoch: expect.any(Number),
      messageDirection: 'IN',
      stage: 'live',
      connectedAt,
      identity: { sourceIp: '127.0.0.1', userAgent: 'test' },
      domainName,
      connectionId,
      apiId: api.apiId,
    }
    expect(connect).toEqual({
      headers: {
        Host: domainName,
        'User-Agent': 'test',
        Origin: 'http://app',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': expect.any(String),
        'Sec-WebSocket-Extensions': expect.any(String),
        'X-Amzn-Trace-Id': expect.stringMatching(/^Root=1-/),
        'X-Forwarded-For': '127.0.0.1',
        'X-Forwarded-Port': expect.any(String),
        'X-Forwarded-Proto': 'http',
      },
      multiValueHeaders: expect.objectContaining({ Host: [domainName], 'User-Agent': ['test'] }),
      queryStringParameters: { EIO: '4', x: '2' },
      multiValueQueryStringParameters: { EIO: ['4'], x: ['1', '2'] },
      requestContext: { routeKey: '$connect', eventType: 'CONNECT', ...common },
      isBase64Encoded: false,
    })
    expect(connect.requestContext.requestId).toBe(connect.requestContext.extendedRequestId)
    client.socket.send('40{"é":1}')
    const [message] = await messages.take(1)
    expect(message).toEqual({
      requestContext: { routeKey: '$default', eventType: 'MESSAGE', messageId: id, ...common },
      body: '40{"é":1}',
      isBase64Encoded: false,
    })
    client.socket.close(4001, 'enough')
    const [disconnect] = await disconnects.take(1)
    const headers = { Host: domainName, 'x-api-key': '', 'X-Forwarded-For': '', 'x-restapi': '' }
    expect(disconnect).toEqual({
      headers,
      multiValueHeaders: { Host: [domainName], 'x-api-key': [''], 'X-Forwarded-For': [''], 'x-restapi': [''] },
      requestContext: {
        routeKey: '$disconnect',
        eventType: 'DISCONNECT',
        disconnectStatusCode: 4001,
        disconnectReason: 'enough',
        ...common,
      },
      isBase64Encoded: false,
    })
  })

  it.each([
    [
      'a close without a status',
      (client: Client) => client.socket.close(),
      1005,
      'Client-side close frame status not set',
    ],
    ['a reset', (client: Client) => client.socket.terminate(), 1006, 'Connection closed abnormally'],
  ])('tell of %s', async (_, end, disconnectStatusCode, disconnectReason) => {
    const disconnects = recorder()
    const { url } = await serve({ disconnect: disconnects.handler })
    end(await Client.connect(`${url}/live`))
    const [event] = await disconnects.take(1)
    expect(event.requestContext).toMatchObject({ disconnectStatusCode, disconnectReason })
  })
})

describe('$connect', () => {
  it.each([
    ['200', ok, undefined],
    ['201', () => ({ statusCode: 201 }), undefined],
    ['301', () => ({ statusCode: 301 }), 301],
    ['401', () => ({ statusCode: 401, body: 'no' }), 401],
    ['503', () => ({ statusCode: 503 }), 503],
    [
      'an error',
      () => {
        throw new Error('boom')
      },
      502,
    ],
    ['nothing', () => undefined, 502],
    ['an answer that never comes', () => new Promise(() => {}), 504],
  ])('answering %s decides the upgrade', async (_, connect, refusedWith) => {
    const disconnect = vi.fn(ok)
    const { url, api } = await serve({ connect, disconnect }, { integrationTimeoutMs: 30 })
    const connecting = Client.connect(`${url}/live`)
    if (refusedWith === undefined) expect((await connecting).socket.readyState).toBe(1)
    else {
      await expect(connecting).rejects.toThrow(`Unexpected server response: ${refusedWith}`)
      expect(api.metrics()).toMatchObject({ open: 0, connects: 0, refusals: 1 })
      expect(disconnect).not.toHaveBeenCalled()
    }
  })

  it('is not needed', async () => {
    const { url, api } = await serve({ default: ok })
    await Client.connect(`${url}/live`)
    expect(api.connectionIds()).toHaveLength(1)
  })

  it('chooses the subprotocol', async () => {
    const connect = () => ({ statusCode: 200, headers: { 'Sec-WebSocket-Protocol': 'b' } })
    const { url } = await serve({ connect })
    expect((await Client.connect(`${url}/live`, {}, ['a', 'b'])).socket.protocol).toBe('b')
  })

  it.each(['/', '/other', '/live/below'])('is refused with 403 at %s', async (path) => {
    const { url } = await serve({ connect: ok })
    await expect(Client.connect(url + path)).rejects.toThrow('Unexpected server response: 403')
  })

  it('is followed by $disconnect when the client has gone meanwhile', async () => {
    const arrived = Promise.withResolvers<void>()
    const finish = Promise.withResolvers<object>()
    const connect = () => {
      arrived.resolve()
      return finish.promise
    }
    const disconnects = recorder()
    const { url, api } = await serve({ connect, disconnect: disconnects.handler })
    const client = new Client(`${url}/live`)
    client.socket.on('error', () => {})
    await arrived.promise
    client.socket.terminate()
    await new Promise((resolve) => client.socket.once('close', resolve))
    finish.resolve(ok())
    const [event] = await disconnects.take(1)
    expect(event.requestContext.disconnectStatusCode).toBe(1006)
    expect(api.metrics().open).toBe(0)
  })

  it('survives a request that is no WebSocket handshake', async () => {
    const disconnects = recorder()
    const { url } = await serve({ connect: ok, disconnect: disconnects.handler })
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.write('GET /live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    const answer = await new Promise<string>((resolve) => socket.once('data', (data) => resolve(data.toString())))
    expect(answer).toMatch(/^HTTP\/1.1 400/)
    await disconnects.take(1)
    await Client.connect(`${url}/live`)
  })
})

describe('a Lambda authorizer of $connect', () => {
  const policy = (Effect: string) => ({
    principalId: 'p',
    policyDocument: { Statement: [{ Effect, Action: 'execute-api:Invoke', Resource: '*' }] },
    context: { team: 't', n: 1 },
  })
  const authorizer = { IdentitySource: ['route.request.querystring.token'] }

  it('puts its context into every event', async () => {
    const [connects, messages] = [recorder(), recorder()]
    const asked = vi.fn((_event: unknown) => policy('Allow'))
    const { url, api } = await serve(
      { connect: connects.handler, default: messages.handler, authorizer: asked },
      { authorizer },
    )
    const client = await Client.connect(`${url}/live?token=x`)
    client.socket.send('m')
    for (const { take } of [connects, messages])
      expect((await take(1))[0].requestContext.authorizer).toEqual({ team: 't', n: '1', principalId: 'p' })
    const methodArn = `arn:aws:execute-api:us-east-1:000000000000:${api.apiId}/live/$connect`
    expect(asked.mock.calls[0]?.[0]).toMatchObject({
      type: 'REQUEST',
      methodArn,
      queryStringParameters: { token: 'x' },
    })
  })

  it.each([
    ['without its identity source', () => policy('Allow'), '', 401],
    ['when it denies', () => policy('Deny'), '?token=x', 403],
    [
      'when it fails',
      () => {
        throw new Error('no')
      },
      '?token=x',
      500,
    ],
  ])('refuses %s', async (_, answer, query, status) => {
    const connect = vi.fn(ok)
    const { url } = await serve({ connect, authorizer: answer }, { authorizer })
    await expect(Client.connect(`${url}/live${query}`)).rejects.toThrow(`Unexpected server response: ${status}`)
    expect(connect).not.toHaveBeenCalled()
  })
})

describe('messages', () => {
  it.each([
    ['{"action":"link","data":1}', 'link'],
    ['  {"action":"link"}', 'link'],
    ['{"action":"other"}', '$default'],
    ['{"action":1}', '$default'],
    ['{"action":"$connect"}', '$default'],
    ['[{"action":"link"}]', '$default'],
    ['2probe', '$default'],
    ['{broken', '$default'],
    ['', '$default'],
  ])('%s goes to %s', async (body, routeKey) => {
    const all = recorder()
    const { url } = await serve({ connect: ok, link: all.handler, default: all.handler })
    const client = await Client.connect(`${url}/live`)
    client.socket.send(body)
    expect((await all.take(1))[0]).toMatchObject({ body, requestContext: { routeKey } })
  })

  it.each([
    [
      'a failing handler',
      {
        default: () => {
          throw new Error('boom')
        },
      },
      'Internal server error',
      '$default: {"errorMessage":"boom"}',
    ],
    [
      'a handler that takes too long',
      { default: () => new Promise(() => {}) },
      'Endpoint request timed out',
      '$default: the function took too long',
    ],
    ['no route', { link: ok }, 'Forbidden', '-: no route'],
  ])("get the platform's error frame with %s", async (_, functions, message, failure) => {
    const { url, api, failures } = await serve(functions, { integrationTimeoutMs: 30 })
    const client = await Client.connect(`${url}/live`)
    client.socket.send('x')
    const [frame] = await client.messages(1)
    expect(JSON.parse(frame ?? '')).toEqual({ message, connectionId: api.connectionIds()[0], requestId: id })
    expect(failures).toEqual([failure])
    expect(client.socket.readyState).toBe(1)
  })

  it('get no answer from a handler that returns an error status', async () => {
    const messages = recorder(() => ({ statusCode: 500, body: 'no' }))
    const { url } = await serve({ default: messages.handler })
    const client = await Client.connect(`${url}/live`)
    client.socket.send('1')
    await messages.take(1)
    client.socket.close()
    await client.closed()
    expect(client.received).toEqual([])
  })

  it('are handled at the same time, and in another order when there is jitter', async () => {
    const order: string[] = []
    const all = recorder()
    const handler = (event: { body: string }) => {
      order.push(event.body)
      return all.handler(event)
    }
    const jitter = [40, 0]
    const { url } = await serve({ default: handler }, { jitterMs: () => jitter.shift() ?? 0 })
    const client = await Client.connect(`${url}/live`)
    client.socket.send('first')
    client.socket.send('second')
    await all.take(2)
    expect(order).toEqual(['second', 'first'])
  })

  it('are throttled by the stage', async () => {
    const stage = { DefaultRouteSettings: { ThrottlingBurstLimit: 2, ThrottlingRateLimit: 0.001 } }
    const { url } = await serve({ default: ok }, { stage })
    const client = await Client.connect(`${url}/live`) // takes one
    client.socket.send('1')
    client.socket.send('2')
    expect(JSON.parse((await client.messages(1))[0] ?? '')).toMatchObject({ message: 'Too Many Requests' })
    await expect(Client.connect(`${url}/live`)).rejects.toThrow('429')
  })
})
