import { describe, expect, it } from 'vitest'
import { GATEWAY_LIMITS } from '../../../container-images/preview-gateway/src/limits.ts'
import { Waiting } from '../../../container-images/preview-gateway/src/waiting.ts'
import { startFixture, startTask } from './fixture.ts'

const PAGE = { status: 503, title: 'It starts', text: 'A moment.', reloadSeconds: 2 }

function start() {
  let now = 0
  const waiting = new Waiting(GATEWAY_LIMITS, () => now)
  const shown = (label = 'a') => waiting.pageFor(label, PAGE)
  return { waiting, shown, pass: (ms: number) => (now += ms) }
}

describe('a page that waits for its preview', () => {
  it('loads itself again ever more rarely, and at last not at all', () => {
    const { shown, pass } = start()
    const breaks: number[] = []
    for (let page = shown(); page.reloadSeconds !== undefined; page = shown()) {
      breaks.push(page.reloadSeconds)
      pass(1000 * page.reloadSeconds)
    }
    expect(breaks.slice(0, 5)).toEqual([2, 2, 2, 2, 2])
    expect(breaks).toEqual(breaks.toSorted((a, b) => a - b))
    expect(Math.max(...breaks) * 1000).toBe(GATEWAY_LIMITS.reloadMs)
    const waited = 1000 * breaks.reduce((sum, seconds) => sum + seconds, 0)
    expect(waited).toBeGreaterThanOrEqual(GATEWAY_LIMITS.waitMs)
    expect(waited).toBeLessThan(GATEWAY_LIMITS.waitMs + GATEWAY_LIMITS.reloadMs)
    expect(shown().text).toContain('stopped looking')
  })

  it('begins anew for who comes later, for another preview, and when the preview has answered', () => {
    const { waiting, shown, pass } = start()
    const waitLong = () => {
      for (let ms = 0; ms < GATEWAY_LIMITS.waitMs; ms += 30_000, pass(30_000)) shown()
      expect(shown().reloadSeconds).toBeUndefined()
    }
    waitLong()
    expect(shown('b').reloadSeconds).toBe(2)
    pass(2 * GATEWAY_LIMITS.reloadMs + 1)
    expect(shown().reloadSeconds).toBe(2)
    waitLong()
    waiting.over('a')
    expect(shown().reloadSeconds).toBe(2)
  })

  it('leaves a page alone that does not load itself again', () => {
    const { reloadSeconds: _, ...page } = PAGE
    expect(start().waiting.pageFor('a', page)).toBe(page)
  })

  it('is the one that the gateway shows, until the preview answers', async () => {
    let now = Date.now()
    const task = await startTask((_, response) => response.end('page'))
    const { ask, directory, label, preview, member } = await startFixture({
      taskPort: task.port,
      now: () => now,
      limits: { lookupTtlMs: 0 },
    })
    const headers = { cookie: await member(), accept: 'text/html' }
    const retryAfter = async () => (await ask('/', { headers })).headers['retry-after']
    directory.items.set(label, { ...preview, status: 'starting' })
    const waits: (string | undefined)[] = []
    for (let page = 0; page < 4; page += 1, now += 40_000) waits.push(await retryAfter())
    // Somebody else than the page: a script gets no break that grows.
    expect((await ask('/', { headers: { ...headers, accept: '*/*' } })).headers['retry-after']).toBe('2')
    directory.items.set(label, preview)
    expect((await ask('/', { headers })).body).toBe('page')
    // The same for a server that does not listen.
    directory.items.set(label, { ...preview, port: 1 })
    for (let page = 0; page < 3; page += 1, now += 40_000) waits.push(await retryAfter())
    expect(waits).toEqual(['2', '4', '8', '12', '2', '4', '8'])
  })
})
