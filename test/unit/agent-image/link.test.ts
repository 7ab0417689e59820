import { afterEach, describe, expect, it } from 'vitest'
import { FakeControlPlane } from '../common/fake-control-plane.ts'
import { command, QUICK, removeDirectories, startAgent } from './agent-fixture.ts'

let plane: FakeControlPlane
afterEach(async () => {
  await plane.close()
  await removeDirectories()
})

describe('the link', () => {
  it('comes back through refused, cut and unanswered tries, with the ticket until it is taken and the key afterwards', async () => {
    plane = await FakeControlPlane.start({
      refuse: (_, count) => ([500, 'cut', 503] as const)[count],
      answerHello: (count) => count > 0,
    })
    const { code } = await startAgent(plane.url, {
      command: command('/bin/echo', 'hello'),
      timings: { welcomeMs: 200 },
    })
    expect(await code).toBe(0)
    const schemes = plane.upgrades.map((request) => request.headers.authorization?.split(' ')[0])
    expect(schemes).toEqual(['Ticket', 'Ticket', 'Ticket', 'Ticket', 'Link'])
    expect(plane.text).toBe('hello\r\n')
  })

  it('tries its key when the answer to its ticket was lost', async () => {
    plane = await FakeControlPlane.start({
      // The first try is taken, but its answer is lost: the ticket is void from then on.
      refuse: (request, count) =>
        count === 0 ? 'cut' : request.headers.authorization?.startsWith('Ticket') ? 403 : undefined,
    })
    const { code } = await startAgent(plane.url, { command: command('/bin/echo', 'hello') })
    // This plane has not stored the hash, so the key is refused too: what counts is that it was tried.
    expect(await code).toBe(77)
    expect(plane.upgrades.map((request) => request.headers.authorization?.split(' ')[0])).toEqual([
      'Ticket',
      'Ticket',
      'Link',
    ])
  })

  it('tells the end again when the connection broke with it', async () => {
    plane = await FakeControlPlane.start({ takeExit: (count) => count > 0 })
    const { code } = await startAgent(plane.url, { command: command('/bin/sh', '-c', 'exit 4') })
    expect(await code).toBe(4)
    expect(plane.exit).toMatchObject({ exitCode: 4 })
    expect(plane.upgrades).toHaveLength(2)
  })

  it('ends with the program’s code although the control plane never comes back', async () => {
    let gone = false
    plane = await FakeControlPlane.start({
      refuse: () => (gone ? 'cut' : undefined),
      takeExit: () => {
        gone = true
        return false
      },
    })
    const { code, logged } = await startAgent(plane.url, {
      command: command('/bin/sh', '-c', 'exit 4'),
      timings: { drainMs: 300 },
    })
    expect(await code).toBe(4)
    expect(plane.exit).toBeUndefined()
    expect(logged.join('\n')).toContain('The exit message may not have arrived')
  })

  it('is opened anew after something that is not of the protocol, and after an impossible acknowledgement', async () => {
    plane = await FakeControlPlane.start()
    const { agent, code } = await startAgent(plane.url, { command: command('/bin/sh', '-c', 'echo up; read line') })
    await plane.until(() => plane.text.includes('up'))
    plane.postRaw('{"message":"Internal server error","connectionId":"x","requestId":"y"}')
    await plane.until(() => plane.health.length === 2)
    plane.post({ type: 'ack', offset: 1_000_000 })
    await plane.until(() => plane.health.length === 3)
    expect(agent.status()).toMatchObject({
      link: { state: 'up', lastProblem: expect.stringContaining('beyond the output’s end'.replace('’', "'")) },
    })
    plane.type('\r')
    expect(await code).toBe(0)
    expect(plane.text).toBe('up\r\n\r\n')
  })

  it('applies sizes, those it missed while it was down too', async () => {
    plane = await FakeControlPlane.start({ welcome: { terminal: { cols: 100, rows: 30 } } })
    const { code } = await startAgent(plane.url, {
      command: command('/bin/sh', '-c', 'stty size; read line; stty size'),
    })
    await plane.until(() => plane.text.includes('30 100'))
    plane.post({ type: 'resize', cols: 120, rows: 40 })
    plane.type('\r')
    expect(await code).toBe(0)
    expect(plane.text).toBe('30 100\r\n\r\n40 120\r\n')
  })

  it('makes the container unhealthy when it is down for long', async () => {
    let refuse: 503 | undefined
    plane = await FakeControlPlane.start({ refuse: () => refuse })
    const { agent, code } = await startAgent(plane.url, {
      command: command('/bin/sh', '-c', 'echo up; read line'),
      timings: { linkDownUnhealthyMs: 30 },
    })
    await plane.until(() => plane.text.includes('up'))
    expect(agent.health()).toEqual({ status: 'healthy' })
    refuse = 503
    plane.cut()
    const tries = plane.upgrades.length
    const health = await plane.until(() => {
      const now = agent.health()
      return plane.upgrades.length > tries && now.status === 'unhealthy' && now
    })
    expect(health.detail).toMatch(/^The link is down for 0 s: The control plane answered 503/)
    refuse = undefined
    await plane.until(() => agent.health().status === 'healthy')
    plane.type('\r')
    expect(await code).toBe(0)
  })

  it('reports health regularly, with late inputs', async () => {
    plane = await FakeControlPlane.start()
    const { code } = await startAgent(plane.url, {
      command: command('/bin/sh', '-c', 'echo up; read line; read line'),
      timings: { ...QUICK, healthEveryMs: 50, inputWindowMs: 1 },
    })
    await plane.until(() => plane.text.includes('up'))
    const at = Date.now()
    plane.post({ type: 'input', id: 'b', at, data: 'b\r' })
    await plane.until(() => plane.text.includes('b'))
    plane.post({ type: 'input', id: 'a', at: at - 1, data: 'a' })
    await plane.until(() => plane.health.some((message) => message.lateInputs === 1))
    plane.type('\r')
    expect(await code).toBe(0)
  })
})
