import { createServer } from 'node:http'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { listen } from '../../../../local/common/listen.ts'
import { StartGate } from '../../../../local/lambda/start-gate.ts'
import { lambdaOf } from './bundle.ts'

/** A function that wants `wanted` environments; tells of each start, which lasts until it is let through. */
function starterOf(name: string, wanted: number, started: string[]) {
  const pending: (() => void)[] = []
  let left = wanted
  return {
    get wantsStart() {
      return left > 0
    },
    get hasNone() {
      return left === wanted
    },
    start() {
      left--
      started.push(name)
      return new Promise<void>((resolve) => pending.push(resolve))
    },
    async letThrough() {
      pending.shift()?.()
      // The gate goes on in a continuation of the start's promise.
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

describe('the start gate', () => {
  it('starts as many at once as it may, and functions take turns', async () => {
    const started: string[] = []
    const gate = new StartGate({ limit: 2, isBusy: () => false })
    const burst = starterOf('burst', 4, started)
    const other = starterOf('other', 1, started)
    gate.request(burst)
    gate.request(other)
    expect(started).toEqual(['burst', 'burst'])
    await burst.letThrough()
    await burst.letThrough()
    expect(started).toEqual(['burst', 'burst', 'burst', 'other'])
    await other.letThrough()
    expect(started).toEqual(['burst', 'burst', 'burst', 'other', 'burst'])
  })

  it('starts a function’s first environment at once and further ones one a second while the processors are busy', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const started: string[] = []
    let isBusy = true
    const gate = new StartGate({ limit: 9, isBusy: () => isBusy })
    const burst = starterOf('burst', 5, started)
    const other = starterOf('other', 2, started)
    gate.request(burst)
    gate.request(other)
    expect(started).toEqual(['burst', 'other'])
    vi.advanceTimersByTime(950)
    expect(started).toHaveLength(2)
    vi.advanceTimersByTime(150)
    expect(started).toEqual(['burst', 'other', 'burst'])
    vi.advanceTimersByTime(1_100)
    expect(started).toEqual(['burst', 'other', 'burst', 'other'])
    isBusy = false
    vi.advanceTimersByTime(100)
    expect(started).toEqual(['burst', 'other', 'burst', 'other', 'burst', 'burst', 'burst'])
  })

  it('passes over who wants nothing any more', async () => {
    const started: string[] = []
    const gate = new StartGate({ limit: 1, isBusy: () => false })
    const first = starterOf('first', 1, started)
    const second = { wantsStart: true, hasNone: true, start: () => Promise.reject(new Error('is not wanted')) }
    gate.request(first)
    gate.request(second)
    second.wantsStart = false
    await first.letThrough()
    expect(started).toEqual(['first'])
  })
})

describe('a burst of invocations', () => {
  /** Tells how many environments have begun to initialize and lets each of them through in its turn. */
  async function door() {
    const waiting: (() => void)[] = []
    const heard: (() => void)[] = []
    let knocks = 0
    const server = createServer((_request, response) => {
      knocks++
      waiting.push(() => response.end('ok'))
      for (const look of heard.splice(0)) look()
    })
    const url = await listen(server)
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    return {
      url,
      get knocks() {
        return knocks
      },
      async knocked(count: number) {
        while (knocks < count) await new Promise<void>((resolve) => heard.push(resolve))
      },
      open: () => waiting.shift()?.(),
    }
  }

  it('waits in order for the first environment that is free, and starts no more than are of use', async () => {
    const init = await door()
    const order: number[] = []
    const lambda = lambdaOf(
      `await fetch(${JSON.stringify(init.url)}); export const handler = async (event) => event`,
      {},
      { startsAtOnce: 2 },
    )
    const all = Array.from({ length: 20 }, async (_, n) => {
      await lambda.invoke('subject', n)
      order.push(n)
    })
    await init.knocked(2)
    init.open()
    await Promise.all(all)
    expect(order).toEqual(Array.from({ length: 20 }, (_, n) => n))
    // One served all of them; the gate has let at most one more in behind it.
    expect(init.knocks).toBeLessThanOrEqual(3)
    init.open()
    init.open()
  })

  it('beyond the environments of a function waits, and only beyond the concurrency is refused', async () => {
    const inside = await door()
    const lambda = lambdaOf(
      'export const handler = async (url) => (await fetch(url)).text()',
      {},
      { environmentsPerFunction: 2, totalConcurrency: 4 },
    )
    const four = Array.from({ length: 4 }, () => lambda.invoke('subject', inside.url))
    await expect(lambda.invoke('subject', inside.url)).rejects.toMatchObject({ statusCode: 429 })
    await inside.knocked(2)
    for (const count of [3, 4]) {
      expect(inside.knocks).toBe(count - 1)
      inside.open()
      await inside.knocked(count)
    }
    inside.open()
    inside.open()
    expect((await Promise.all(four)).map(({ payload }) => payload)).toEqual(['ok', 'ok', 'ok', 'ok'])
    expect(lambda.metrics().subject).toMatchObject({ coldStarts: 2, throttles: 1, maxConcurrency: 4 })
  })

  it('is told when the runtime closes, and when no environment can be started', async () => {
    const init = await door()
    const closing = lambdaOf(
      `await fetch(${JSON.stringify(init.url)}); export const handler = async () => 1`,
      {},
      { startsAtOnce: 1 },
    )
    const waiting = [closing.invoke('subject', {}), closing.invoke('subject', {})]
    await init.knocked(1)
    const told = Promise.allSettled(waiting)
    await closing.close()
    expect((await told).map((each) => each.status === 'rejected' && String(each.reason))).toEqual(
      Array(2).fill('Error: The local Lambda is closed'),
    )
    const broken = lambdaOf('throw new Error("no start")', {}, { startsAtOnce: 1 })
    const failed = await Promise.all([broken.invoke('subject', {}), broken.invoke('subject', {})])
    for (const { functionError, payload } of failed) {
      expect(functionError).toBe('Unhandled')
      expect(payload).toMatchObject({ errorMessage: 'no start' })
    }
  })

  it('goes on when the only environment ends in the middle of an invocation', async () => {
    const lambda = lambdaOf(
      'export const handler = async (end) => end ? process.exit(1) : "here"',
      {},
      { environmentsPerFunction: 1 },
    )
    const [ended, next] = await Promise.all([lambda.invoke('subject', true), lambda.invoke('subject', false)])
    expect(ended.functionError).toBe('Unhandled')
    expect(next.payload).toBe('here')
  })
})
