import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { ENGINE_MAX_PAYLOAD_BYTES, POLL_HOLD_MS } from '../../../shared/contracts/limits.ts'
import { EVERYTHING } from '../../../shared/domain/realtime/batch.ts'
import { deliver } from '../../../shared/domain/realtime/deliver.ts'
import { answerGet, answerPost, type HttpAnswer } from '../../../shared/domain/realtime/polling-http.ts'
import { type Bench, createBench, TEAM } from './support/bench.ts'

const POLLING = { EIO: '4', transport: 'polling' }
const bodyOf = (answer: HttpAnswer) => answer.body

async function opened(bench: Bench): Promise<{ sid: string; [field: string]: unknown }> {
  const body = bodyOf(await bench.run(() => answerGet(POLLING, bench.deps)))
  return JSON.parse(String(body).slice(1)) as { sid: string }
}

const post = (bench: Bench, sid: string, body: string, requestId = 'request') =>
  bench.run(() =>
    answerPost({ ...POLLING, sid }, () => body, { at: bench.time.now().getTime(), requestId }, bench.deps),
  )
const get = (bench: Bench, sid: string) => answerGet({ ...POLLING, sid }, bench.deps)

async function connected(bench: Bench, token = `user-1@${TEAM}`): Promise<string> {
  const { sid } = await opened(bench)
  await post(bench, sid, `40${JSON.stringify({ token })}`)
  expect(bodyOf(await bench.run(() => get(bench, sid)))).toMatch(/^40\{"sid":"[^"]+","pid":"[^"]+"\}$/)
  return sid
}

describe('the handshake', () => {
  it('announces the upgrade and the heartbeat', async () => {
    const open = await opened(createBench())
    expect(open).toEqual({
      sid: expect.any(String),
      upgrades: ['websocket'],
      pingInterval: 60_000,
      pingTimeout: 120_000,
      maxPayload: ENGINE_MAX_PAYLOAD_BYTES,
    })
  })

  it.each([
    ['no transport', { EIO: '4' }, 'GET', 0, 'Transport unknown'],
    ['an unknown transport', { EIO: '4', transport: 'carrier-pigeon' }, 'GET', 0, 'Transport unknown'],
    ['another protocol version', { EIO: '3', transport: 'polling' }, 'GET', 5, 'Unsupported protocol version'],
    ['a WebSocket that has lost its upgrade', { EIO: '4', transport: 'websocket' }, 'GET', 3, 'Bad request'],
    ['an unknown session, polled', { ...POLLING, sid: 'nobody' }, 'GET', 1, 'Session ID unknown'],
    ['an unknown session, posted to', { ...POLLING, sid: 'nobody' }, 'POST', 1, 'Session ID unknown'],
    ['a POST without a session', POLLING, 'POST', 2, 'Bad handshake method'],
  ])('refuses %s as engine.io does', async (_name, query, method, code, message) => {
    const bench = createBench()
    const received = { at: 0, requestId: 'r' }
    const answer = await bench.run(() =>
      method === 'GET' ? answerGet(query, bench.deps) : answerPost(query, () => '', received, bench.deps),
    )
    expect(answer).toEqual({ status: 400, body: { code, message } })
  })
})

describe('a held poll', () => {
  it('ends with a ping when nothing happens', async () => {
    const bench = createBench()
    const sid = await connected(bench)
    const from = bench.time.now().getTime()
    expect(bodyOf(await bench.run(() => get(bench, sid)))).toBe('2')
    expect(bench.time.now().getTime() - from).toBeGreaterThanOrEqual(POLL_HOLD_MS)
    expect(bench.time.now().getTime() - from).toBeLessThan(25_000)
  })

  it('ends with a noop when a newer one comes, which then gets everything', async () => {
    const bench = createBench()
    const sid = await connected(bench)
    await post(bench, sid, `42["join-team","${TEAM}"]`)
    await bench.run(() => get(bench, sid))
    const first = bench.run(() => get(bench, sid))
    await bench.time.pass(1_000)
    const second = get(bench, sid)
    expect(bodyOf(await first)).toBe('6')
    await bench.run(() => bench.world.tell(TEAM, 'news'))
    expect(bodyOf(await bench.run(() => second))).toContain('news')
  })

  it('answers within half a second of what it waits for', async () => {
    const bench = createBench()
    const sid = await connected(bench)
    await post(bench, sid, `42["join-team","${TEAM}"]`)
    await bench.run(() => get(bench, sid))
    const poll = get(bench, sid)
    await bench.time.pass(10_000)
    await bench.run(() => bench.world.tell(TEAM, 'news'))
    const from = bench.time.now().getTime()
    expect(bodyOf(await bench.run(() => poll))).toContain('news')
    expect(bench.time.now().getTime() - from).toBeLessThan(600)
  })

  it('looks again after a wake that had nothing, for whoever found it still set', async () => {
    const bench = createBench()
    const sid = await connected(bench)
    await post(bench, sid, `42["join-team","${TEAM}"]`)
    await bench.run(() => get(bench, sid))
    const poll = get(bench, sid)
    await bench.time.pass(5_000)
    const { readAfter } = bench.deps.ledger
    let outcome: string | undefined
    vi.spyOn(bench.deps.ledger, 'readAfter').mockImplementationOnce(async (...args) => {
      const before = await readAfter(...args)
      await bench.world.commit(TEAM, 'news')
      outcome = await deliver(sid, EVERYTHING, bench.deps)
      return before
    })
    const woken = await bench.run(() => bench.deps.sessions.get(sid))
    if (!woken) throw new Error('no session')
    expect(await bench.run(() => bench.deps.sessions.put({ ...woken, wake: true }))).toBe(true)
    expect(bodyOf(await bench.run(() => poll))).toContain('news')
    expect(outcome).toBe('woken')
  })

  it('carries a ping every minute also when it always finds something', async () => {
    const bench = createBench()
    const sid = await connected(bench)
    await post(bench, sid, `42["join-team","${TEAM}"]`)
    await bench.run(() => get(bench, sid))
    const pings: number[] = []
    for (let second = 0; second < 200; second += 5) {
      await bench.time.pass(5_000)
      await bench.run(() => bench.world.tell(TEAM))
      const packets = String(bodyOf(await bench.run(() => get(bench, sid)))).split('\x1e')
      if (packets.includes('2')) pings.push(second)
    }
    expect(pings.length).toBeGreaterThanOrEqual(3)
  })

  it('is refused once the session has ended', async () => {
    const bench = createBench()
    const sid = await connected(bench)
    const poll = get(bench, sid)
    await post(bench, sid, '1')
    expect(bodyOf(await bench.run(() => poll))).toEqual({ code: 1, message: 'Session ID unknown' })
    expect(bodyOf(await bench.run(() => get(bench, sid)))).toEqual({ code: 1, message: 'Session ID unknown' })
  })
})

describe('a POST', () => {
  it('takes several packets in order', async () => {
    const bench = createBench()
    bench.world.addAgent({ id: 'agent-1' })
    const { sid } = await opened(bench)
    const packets = [
      `40${JSON.stringify({ token: `user-1@${TEAM}` })}`,
      '42["terminal_connect",{"agentId":"agent-1"}]',
      '42["terminal_disconnect",{"agentId":"agent-1"}]',
      `42["join-team",{"teamId":"${TEAM}"}]`,
    ]
    expect(await post(bench, sid, packets.join('\x1e'))).toEqual({ status: 200, body: 'ok' })
    const answers = String(bodyOf(await bench.run(() => get(bench, sid)))).split('\x1e')
    expect(answers.map((text) => text.slice(0, 24))).toEqual([
      expect.stringContaining('40{'),
      '42["terminal_connected",',
      '42["team-joined",{"teamI',
    ])
    expect(Object.keys(bench.world.sessions.sessions.get(sid)?.terminals ?? {})).toEqual([])
  })

  it('answers trouble of ours with a failure, never with a refusal that would sign the user out', async () => {
    const bench = createBench()
    const { sid } = await opened(bench)
    bench.world.fault.verifyToken = new Error('no secret')
    await expect(post(bench, sid, '40{"token":"x@y"}')).rejects.toThrow('no secret')
  })

  it('with anything in it never throws, and ends the session when it is no Engine.IO', async () => {
    const frames = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'binary' }).map((text) => `4${text}`),
      fc.json().map((text) => `42${text}`),
      fc
        .tuple(fc.constantFrom('join-team', 'terminal_connect', 'terminal_input', 'terminal_resize'), fc.jsonValue())
        .map((event) => `42${JSON.stringify(event)}`),
      fc.jsonValue().map((auth) => `40${JSON.stringify(auth)}`),
      fc.constantFrom(
        '',
        '2probe',
        '5',
        '6',
        '3',
        '1',
        'bAQID',
        '451-["x",{"_placeholder":true,"num":0}]',
        '4',
        '44',
        '43[]',
        '41',
      ),
    )
    const bodies = fc.array(frames, { maxLength: 5 }).map((all) => all.join('\x1e'))
    await fc.assert(
      fc.asyncProperty(bodies, async (body) => {
        const bench = createBench()
        const sid = await connected(bench)
        const answer = await post(bench, sid, body)
        if (answer.status === 200) return
        expect(answer.body).toEqual({ code: 3, message: 'Bad request' })
        expect(bench.world.sessions.sessions.get(sid)?.endedAt).toBeDefined()
      }),
      { numRuns: 300 },
    )
  })
})
