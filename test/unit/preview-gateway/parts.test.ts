import { describe, expect, it } from 'vitest'
import { OwnCookies } from '../../../container-images/preview-gateway/src/cookies.ts'
import { CachedDirectory } from '../../../container-images/preview-gateway/src/directory.ts'
import { GATEWAY_LIMITS } from '../../../container-images/preview-gateway/src/limits.ts'
import { MemoryDirectory } from '../../../container-images/preview-gateway/src/memory-directory.ts'
import { takeSettings } from '../../../container-images/preview-gateway/src/settings.ts'
import { looksLikeAppToken, withoutToken } from '../../../container-images/preview-gateway/src/target.ts'
import type { PreviewDirectoryItem } from '../../../shared/contracts/previews.ts'
import {
  enterUrl,
  issueCookie,
  issueTicket,
  newPreviewLabel,
  newTicketId,
  verifyCookie,
  verifyTicket,
} from '../../../shared/domain/previews/signatures.ts'
import { SECRET } from './fixture.ts'

const PREVIEW: PreviewDirectoryItem = {
  teamId: 't',
  branch: 'main',
  environmentId: 'e',
  status: 'running',
  idle: false,
  public: false,
}

describe('settings', () => {
  const ENV = {
    PREVIEWS_TABLE: 'previews',
    WORK_QUEUE_URL: 'https://sqs.example/1/work',
    PREVIEW_DOMAIN: 'preview.example',
    APP_ORIGIN: 'https://app.example http://localhost:3000',
    PREVIEW_SECRET: SECRET,
  }

  it('have defaults, and take the secret out of the environment', () => {
    const env: NodeJS.ProcessEnv = { ...ENV }
    expect(takeSettings(env)).toEqual({
      ...ENV,
      APP_ORIGIN: ['https://app.example', 'http://localhost:3000'],
      PREVIEW_SCHEME: 'https',
      PORT: 8080,
      HEALTH_PORT: 8081,
      HOST: '0.0.0.0',
      BEHIND_LOAD_BALANCER: false,
    })
    expect(env.PREVIEW_SECRET).toBeUndefined()
  })

  it('that are wrong are named, without the secret', () => {
    const env = {
      ...ENV,
      PREVIEW_SECRET: 'short',
      APP_ORIGIN: 'https://app.example/path',
      PREVIEW_DOMAIN: 'Preview.example:80',
    }
    expect(() => takeSettings(env)).toThrow(/PREVIEW_DOMAIN.*APP_ORIGIN.*PREVIEW_SECRET/s)
    expect(() => takeSettings({ ...ENV, PREVIEW_SECRET: 'short-secret' })).not.toThrow(/short-secret/)
  })
})

describe('signatures', () => {
  const ticket = {
    label: newPreviewLabel('main'),
    teamId: 't',
    userId: 'u',
    exp: 1_000,
    until: 2_000,
    id: newTicketId(),
  }

  it('are for their kind alone, and end to the millisecond', () => {
    const text = issueTicket(ticket, SECRET)
    expect(verifyTicket(text, SECRET, 999)).toEqual({ ok: true, value: ticket })
    expect(verifyTicket(text, SECRET, 1_000)).toEqual({ ok: false, why: 'expired' })
    expect(verifyCookie(text, SECRET, 0)).toEqual({ ok: false, why: 'invalid' })
    const { id, teamId, until, ...cookie } = ticket
    expect(verifyCookie(issueCookie(cookie, SECRET), SECRET, 0)).toEqual({ ok: true, value: cookie })
    expect(verifyTicket(issueCookie(cookie, SECRET), SECRET, 0)).toEqual({ ok: false, why: 'invalid' })
  })

  it('need a secret of some length', () => {
    expect(() => issueTicket(ticket, 'short')).toThrow(/43/)
  })

  it('fit into an address without a question mark, and labels into DNS', () => {
    const url = enterUrl(`https://${ticket.label}.preview.example`, issueTicket(ticket, SECRET))
    expect(url).toMatch(/^https:\/\/main-[a-z2-7]{20}\.preview\.example\/__covibes\/enter\/[\w.-]+\/$/)
    const labels = new Set(Array.from({ length: 1_000 }, () => newPreviewLabel('workspace')))
    expect(labels.size).toBe(1_000)
    for (const label of labels) expect(label.length).toBeLessThanOrEqual(63)
  })
})

describe('cookies that were good once', () => {
  const label = newPreviewLabel('main')
  const issued = (userId = 'u', exp = 1_000) => issueCookie({ label, userId, exp }, SECRET)
  const headerOf = (value: string) => `a=b; __Host-covibes-preview=${value}`

  it('are good for the same preview until they end, and nothing that resembles them is', () => {
    const cookies = new OwnCookies(SECRET, 10)
    const cookie = issued()
    for (let time = 0; time < 2; time += 1)
      expect(cookies.read(headerOf(cookie), label, 999)).toMatchObject({ userId: 'u' })
    expect(cookies.read(headerOf(cookie), newPreviewLabel('main'), 999)).toBeUndefined()
    expect(cookies.read(headerOf(cookie), label, 1_000)).toBeUndefined()
    const [body, signature] = cookie.split('.')
    const [otherBody] = issued('v').split('.')
    for (const forged of [`${otherBody}.${signature}`, `${body}.${'A'.repeat(43)}`, `${body}`, `${cookie}A`])
      expect(cookies.read(headerOf(forged), label, 999)).toBeUndefined()
  })

  it('are forgotten beyond a number, which changes nothing, and bad ones displace none', () => {
    const cookies = new OwnCookies(SECRET, 2)
    const all = ['a', 'b', 'c'].map((userId) => [userId, issued(userId)] as const)
    for (let round = 0; round < 2; round += 1)
      for (const [userId, cookie] of all) {
        for (let n = 0; n < 5; n += 1) expect(cookies.read(headerOf(`${n}.bad`), label, 0)).toBeUndefined()
        expect(cookies.read(headerOf(cookie), label, 0)).toMatchObject({ userId })
      }
  })
})

describe('token parameters', () => {
  it.each([
    ['/?token=a', '/'],
    ['/a?token=a&b=c', '/a?b=c'],
    ['/a?b=c&token=a', '/a?b=c'],
    ['/a?b&token&c', '/a?b&c'],
    ['/a?%74%6fken=a&b', '/a?b'],
    ['/a?token=a&token=b', '/a'],
    ['/a?tokens=a', '/a?tokens=a'],
    ['/a?x=token=a', '/a?x=token=a'],
    ['/a?', '/a?'],
    ['/token=a', '/token=a'],
  ])('%s becomes %s', (url, clean) => {
    expect(withoutToken(url, () => true)).toBe(clean)
  })

  it("are the app's by their form", () => {
    const header = Buffer.from('{"typ":"JWT","alg":"HS256"}').toString('base64url')
    expect(looksLikeAppToken(`${header}.e30.c2ln`)).toBe(true)
    expect(looksLikeAppToken(`${header}.e30.`)).toBe(true)
    for (const other of ['', 'Jm5vdC1qd3Q', 'a.b.c', `${header}.e30`, `${header}.e30.c2ln.x`])
      expect(looksLikeAppToken(other)).toBe(false)
  })
})

describe('the directory as the gateway asks it', () => {
  function start(limits = {}) {
    let now = 0
    const directory = new MemoryDirectory()
    const messages: string[] = []
    const cached = new CachedDirectory(
      directory,
      { ...GATEWAY_LIMITS, ...limits },
      (_, message) => void messages.push(message),
      () => now,
    )
    const pass = (ms: number) => {
      now += ms
    }
    return { directory, cached, messages, pass }
  }

  it('is asked once in two seconds, and once for many who ask at the same time', async () => {
    const { directory, cached, pass } = start()
    directory.items.set('a', PREVIEW)
    const answers = await Promise.all(Array.from({ length: 50 }, () => cached.lookup('a')))
    expect(answers.every((answer) => answer === PREVIEW)).toBe(true)
    expect(directory.lookups).toBe(1)
    pass(1_999)
    await cached.lookup('a')
    expect(directory.lookups).toBe(1)
    pass(1)
    await cached.lookup('a')
    expect(directory.lookups).toBe(2)
    await cached.lookup('unknown')
    await cached.lookup('unknown')
    expect(directory.lookups).toBe(3)
  })

  it('is believed for a minute when it does not answer', async () => {
    const { directory, cached, pass, messages } = start()
    directory.items.set('a', PREVIEW)
    await cached.lookup('a')
    directory.failure = new Error('throttled')
    pass(59_999)
    expect(await cached.lookup('a')).toBe(PREVIEW)
    expect(messages).toEqual(['The directory does not answer'])
    await expect(cached.lookup('b')).rejects.toThrow('throttled')
    pass(1)
    await expect(cached.lookup('a')).rejects.toThrow('throttled')
    directory.failure = undefined
    expect(await cached.lookup('a')).toBe(PREVIEW)
  })

  it('keeps a bounded number of answers', async () => {
    const { directory, cached } = start({ lookupEntries: 3 })
    for (const label of ['a', 'b', 'c', 'd']) await cached.lookup(label)
    await cached.lookup('d')
    await cached.lookup('b')
    expect(directory.lookups).toBe(4)
    await cached.lookup('a')
    expect(directory.lookups).toBe(5)
  })

  it('hears of a visit and of a waking again when the report failed', async () => {
    const { directory, cached, messages } = start()
    directory.failure = new Error('throttled')
    cached.visited('a')
    cached.wake('a', PREVIEW)
    await new Promise(setImmediate)
    expect(messages).toEqual(['A visit could not be noted', 'A preview could not be woken'])
    directory.failure = undefined
    cached.visited('a')
    cached.visited('a')
    cached.wake('a', PREVIEW)
    expect([directory.visits, directory.wakes]).toEqual([['a'], ['a']])
  })
})
