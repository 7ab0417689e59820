import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { startFixture, startTask } from './fixture.ts'

describe('a gateway that ends', () => {
  it('takes requests while the load balancer forgets it, and lets those under way finish', async () => {
    const held = Promise.withResolvers<() => void>()
    const task = await startTask((request, response) => {
      if (request.url === '/held') held.resolve(() => response.end('finished'))
      else response.end('page')
    })
    const { gateway, ask, member } = await startFixture({
      taskPort: task.port,
      behindLoadBalancer: true,
      limits: { lameDuckMs: 500, drainMs: 20_000 },
    })
    const headers = { cookie: await member() }
    const underWay = ask('/held', { headers })
    const finish = await held.promise
    expect(gateway.isDraining()).toBe(false)
    const drained = gateway.drain()
    expect(gateway.isDraining()).toBe(true)
    const late = await ask('/late', { headers })
    expect([late.body, late.headers.connection]).toEqual(['page', 'close'])
    const other = await ask('/', {})
    expect([other.status, other.headers.connection]).toEqual([403, 'close'])
    await expect.poll(() => ask('/', { headers }).catch((error: Error) => error.message)).toMatch(/ECONNREFUSED/)
    finish()
    expect((await underWay).body).toBe('finished')
    await drained
  })

  it('sends WebSockets away at once, and cuts what does not end in time', async () => {
    const arrived = Promise.withResolvers<void>()
    const task = await startTask(() => arrived.resolve())
    const { gateway, host, member } = await startFixture({ taskPort: task.port, limits: { drainMs: 300 } })
    const cookie = await member()
    const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/`, { headers: { host, cookie } })
    await once(socket, 'open')
    const idle = connect(gateway.port, '127.0.0.1')
    await once(idle, 'connect')
    const endless = connect(gateway.port, '127.0.0.1')
    endless.write(`GET /endless HTTP/1.1\r\nhost: ${host}\r\ncookie: ${cookie}\r\n\r\n`)
    await arrived.promise
    const ends = [once(socket, 'close'), once(idle.resume(), 'close'), once(endless.resume(), 'close')]
    await gateway.drain()
    await Promise.all(ends)
  })
})
