import { describe, expect, it, vi } from 'vitest'
import { Client, serve } from './api.ts'

const ok = () => ({ statusCode: 200 })
const KB = 1024

describe('sizes', () => {
  it('takes 128 KB in frames of 32 KB', async () => {
    const received = Promise.withResolvers<string>()
    const { url } = await serve({ default: ({ body }: { body: string }) => received.resolve(body) })
    const { socket } = await Client.connect(`${url}/live`)
    const frame = 'x'.repeat(32 * KB)
    for (const fin of [false, false, false, true]) socket.send(frame, { fin })
    expect(await received.promise).toHaveLength(128 * KB)
  })

  it.each([
    ['a frame over 32 KB', (socket: Client['socket']) => socket.send('x'.repeat(32 * KB + 1))],
    ['a frame over 64 KB', (socket: Client['socket']) => socket.send('x'.repeat(64 * KB + 1))],
    [
      'a message over 128 KB',
      (socket: Client['socket']) => {
        for (const fin of [false, false, false, false, true]) socket.send('x'.repeat(30 * KB), { fin })
      },
    ],
  ])('closes with 1009 at %s', async (_, send) => {
    const handler = vi.fn(ok)
    const disconnected = Promise.withResolvers<number>()
    const disconnect = (event: { requestContext: { disconnectStatusCode: number } }) =>
      disconnected.resolve(event.requestContext.disconnectStatusCode)
    const { url } = await serve({ default: handler, disconnect })
    const client = await Client.connect(`${url}/live`)
    send(client.socket)
    expect((await client.closed())[0]).toBe(1009)
    expect(await disconnected.promise).toBe(1009)
    expect(handler).not.toHaveBeenCalled()
  })

  it('closes with 1003 at a binary message', async () => {
    const handler = vi.fn(ok)
    const { url } = await serve({ default: handler })
    const client = await Client.connect(`${url}/live`)
    client.socket.send(Buffer.from('x'))
    expect((await client.closed())[0]).toBe(1003)
    expect(handler).not.toHaveBeenCalled()
  })
})

describe('times', () => {
  it('ends an idle connection, but not one that sends', async () => {
    const { url, api } = await serve({ default: ok }, { idleTimeoutMs: 200 })
    const [idle, busy] = [await Client.connect(`${url}/live`), await Client.connect(`${url}/live`)]
    const sending = setInterval(() => busy.socket.send('x'), 50)
    const pinging = setInterval(() => idle.socket.ping(), 50) // control frames are no activity
    expect(await idle.closed()).toEqual([1001, 'Going away'])
    expect(busy.socket.readyState).toBe(1)
    expect(api.connectionIds()).toHaveLength(1)
    clearInterval(sending)
    clearInterval(pinging)
    expect((await busy.closed())[0]).toBe(1001)
  })

  it('ends every connection after the longest duration', async () => {
    const { url } = await serve({ default: ok }, { maxDurationMs: 100 })
    const client = await Client.connect(`${url}/live`)
    const sending = setInterval(() => client.socket.send('x'), 10)
    expect(await client.closed()).toEqual([1001, 'Going away'])
    clearInterval(sending)
  })

  it('ends a connection whose client does not answer the close', async () => {
    const disconnected = Promise.withResolvers<void>()
    const { url, api } = await serve({ disconnect: () => disconnected.resolve() }, { idleTimeoutMs: 50 })
    const client = await Client.connect(`${url}/live`)
    client.socket.pause()
    await disconnected.promise
    expect(api.connectionIds()).toEqual([])
  })
})

describe('closing the gateway', () => {
  it('ends the connections and waits for their handlers', async () => {
    const order: string[] = []
    const disconnect = async () => {
      await new Promise((resolve) => setImmediate(resolve))
      order.push('$disconnect')
    }
    const { url, api } = await serve({ disconnect })
    const client = await Client.connect(`${url}/live`)
    const closed = client.closed()
    await api.close()
    order.push('closed')
    expect(order).toEqual(['$disconnect', 'closed'])
    expect(await closed).toEqual([1001, 'Going away'])
  })
})
