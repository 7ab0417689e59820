import { describe, expect, it } from 'vitest'
import { profileFromMe } from '../../../shared/adapters/existing-server/profile-source.ts'
import { type AuthMeDeps, authMe } from '../../../shared/domain/forwarding/auth-me.ts'
import { ForwardingFailed, type ForwardingFailure } from '../../../shared/domain/forwarding/errors.ts'
import type { ForwardedAnswer, ForwardRequest, KeptAnswer } from '../../../shared/domain/forwarding/ports.ts'
import type { CachedProfile } from '../../../shared/domain/profiles/schema.ts'
import { tokenExpiry } from '../../../shared/domain/token-expiry.ts'

const NOW = Date.parse('2025-03-12T10:00:00.000Z')
const HOUR = 3_600_000
const tokenWith = (claims: unknown) => `h.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.s`
const token = tokenWith({ userId: 'u1', teamId: 't1', exp: (NOW + 24 * HOUR) / 1000 })
const other = tokenWith({ userId: 'u2', teamId: 't1', exp: (NOW + 24 * HOUR) / 1000 })

const me = {
  user: { id: 'u1', name: 'Ada' },
  team: { id: 't1', name: 'Engines', repositoryUrl: null as string | null },
}
const json = (status: number, body: unknown, headers = {}): ForwardedAnswer => ({
  status,
  headers: { 'content-type': 'application/json', ...headers },
  cookies: ['connect.sid=1'],
  body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
})
const request: ForwardRequest = {
  method: 'GET',
  path: '/api/auth/me',
  rawQuery: '',
  headers: {
    authorization: 'Bearer x',
    'accept-encoding': 'gzip, br',
    'if-none-match': 'W/"1"',
    'if-modified-since': 'now',
  },
  cookies: [],
  body: Buffer.alloc(0),
  host: 'app.example.com',
}

type Script = ForwardedAnswer | ForwardingFailure | 'never'

function world() {
  const kept = new Map<string, KeptAnswer>()
  const profiles: CachedProfile[] = []
  const warnings: string[] = []
  let writes = 0
  let broken = false
  let now = NOW
  let next: Script = json(200, me)
  let isPatient = true
  let released = 0
  let sent: ForwardRequest | undefined
  const guard = () => {
    if (broken) throw new Error('the table cannot be reached')
  }
  const deps: AuthMeDeps = {
    forward: (forwarded, { signal } = {}) => {
      sent = forwarded
      if (next !== 'never')
        return typeof next === 'string' ? Promise.reject(new ForwardingFailed(next)) : Promise.resolve(next)
      return new Promise((_, reject) => {
        signal?.addEventListener('abort', () => {
          released += 1
          reject(new ForwardingFailed('aborted'))
        })
      })
    },
    answers: {
      get: async (key) => {
        guard()
        return kept.get(key)
      },
      put: async (key, answer) => {
        guard()
        writes += 1
        kept.set(key, answer)
      },
      drop: async (key) => {
        guard()
        kept.delete(key)
      },
    },
    profiles: {
      put: async (profile) => {
        profiles.push(profile)
      },
    },
    profileOf: profileFromMe,
    clock: { now: () => new Date(now) },
    log: { warn: (message) => warnings.push(message) },
    // Either time is up at once, or only when the race is over.
    wait: (_ms, signal) =>
      isPatient ? new Promise((resolve) => signal.addEventListener('abort', () => resolve())) : Promise.resolve(),
  }
  return {
    kept,
    profiles,
    warnings,
    writes: () => writes,
    released: () => released,
    sent: () => sent,
    breakTable: () => {
      broken = true
    },
    later: (ms: number) => {
      now += ms
    },
    ask(script: Script, { as = token, slow = false }: { as?: string | null; slow?: boolean } = {}) {
      next = script
      isPatient = !slow
      return authMe(request, as ?? undefined, deps)
    },
  }
}
const failureOf = (asking: Promise<unknown>) => asking.catch((error: ForwardingFailed) => error.failure)

describe('GET /api/auth/me', () => {
  it('is the existing server’s own answer while that is well', async () => {
    const { ask, kept, profiles } = world()
    const answer = json(200, me)
    expect(await ask(answer)).toBe(answer)
    expect(kept.get(token)).toEqual({
      body: JSON.stringify(me),
      answeredAt: new Date(NOW),
      expiresAt: new Date(NOW + 24 * HOUR),
    })
    expect(profiles).toEqual([
      {
        profile: { userId: 'u1', teamId: 't1', userName: 'Ada', teamName: 'Engines', repositoryUrl: null, known: true },
        fetchedAt: new Date(NOW).toISOString(),
      },
    ])
  })

  it.each<[string, Script, boolean?]>([
    ['is down', 'unreachable'],
    ['does not answer at all', 'timeout'],
    ['answers too much', 'too-large'],
    ['is slow', 'never', true],
    ['fails', json(500, { error: 'oops' })],
    ['is behind a broken proxy', json(502, '<html>')],
    ['limits its rate', json(429, { error: 'slow down' })],
    ['shows a maintenance page with 200', json(200, '<html>Back soon</html>')],
    ['names no user', json(200, { team: me.team })],
  ])('stays what it was when the existing server %s', async (_, trouble, slow = false) => {
    const { ask, later, released } = world()
    await ask(json(200, me))
    later(23 * HOUR)
    const answer = await ask(trouble, { slow })
    expect([answer.status, JSON.parse(answer.body.toString())]).toEqual([200, me])
    expect(answer.headers).toMatchObject({ age: String(23 * 3600), 'cache-control': 'no-store' })
    expect(answer.cookies).toEqual([])
    expect(released()).toBe(slow ? 1 : 0)
  })

  it('is asked for whole and uncompressed, so that it can be kept', async () => {
    const { ask, sent } = world()
    await ask(json(200, me))
    expect(sent()).toEqual({ ...request, headers: { authorization: 'Bearer x', 'accept-encoding': 'identity' } })
  })

  it('is never that of another token', async () => {
    const { ask } = world()
    await ask(json(200, me))
    expect(await failureOf(ask('unreachable', { as: other }))).toBe('unreachable')
    expect(await failureOf(ask('timeout', { as: null }))).toBe('timeout')
  })

  it.each([401, 403])('is the existing server’s %i at once, and from then on', async (status) => {
    const { ask } = world()
    await ask(json(200, me))
    const refused = json(status, { error: 'Invalid or expired token' })
    expect(await ask(refused)).toBe(refused)
    expect(await failureOf(ask('unreachable'))).toBe('unreachable')
  })

  it('ends with the token, and after 24 hours', async () => {
    const { ask, later, kept } = world()
    const short = tokenWith({ userId: 'u1', teamId: 't1', exp: (NOW + HOUR) / 1000 })
    const long = tokenWith({ userId: 'u1', teamId: 't1', exp: (NOW + 1000 * HOUR) / 1000 })
    for (const as of [short, long]) await ask(json(200, me), { as })
    expect(kept.get(long)?.expiresAt).toEqual(new Date(NOW + 24 * HOUR))
    later(HOUR)
    expect(await failureOf(ask('unreachable', { as: short }))).toBe('unreachable')
    expect((await ask('unreachable', { as: long })) as ForwardedAnswer).toMatchObject({ status: 200 })
  })

  it.each([
    ['a token without an end', tokenWith({ userId: 'u1' })],
    ['a token that has ended', tokenWith({ exp: NOW / 1000 - 1 })],
    ['what is no token', 'opaque'],
  ])('is not kept for %s', async (_, as) => {
    const { ask, kept } = world()
    await ask(json(200, me), { as })
    expect(kept.size).toBe(0)
  })

  it('is not kept when it is huge or compressed', async () => {
    const { ask, kept } = world()
    await ask(json(200, { ...me, filler: 'x'.repeat(70_000) }))
    await ask(json(200, me, { 'content-encoding': 'gzip' }))
    expect(kept.size).toBe(0)
  })

  it('is written when it says something new, else once an hour', async () => {
    const { ask, later, writes, profiles } = world()
    for (let n = 0; n < 3; n++) await ask(json(200, me))
    expect([writes(), profiles.length]).toEqual([1, 1])
    await ask(json(200, { ...me, team: { ...me.team, repositoryUrl: 'https://example.com/r' } }))
    expect([writes(), profiles.at(-1)?.profile.repositoryUrl]).toEqual([2, 'https://example.com/r'])
    later(HOUR)
    await ask(json(200, { ...me, team: { ...me.team, repositoryUrl: 'https://example.com/r' } }))
    expect([writes(), profiles.length]).toEqual([3, 2])
  })

  it('waits as long as it takes when nothing else is known, and passes trouble on as it is', async () => {
    const { ask } = world()
    const failing = json(503, { error: 'starting' })
    expect(await ask(failing, { slow: true })).toBe(failing)
    const answer = json(200, me)
    expect(await ask(answer, { slow: true })).toBe(answer)
  })

  it('does not depend on the table', async () => {
    const { ask, breakTable, warnings } = world()
    breakTable()
    expect(await ask(json(200, me))).toMatchObject({ status: 200 })
    expect(await ask(json(403, {}))).toMatchObject({ status: 403 })
    expect(await failureOf(ask('unreachable'))).toBe('unreachable')
    expect(warnings).toHaveLength(5)
  })

  it('without an existing server is none', async () => {
    expect(await failureOf(world().ask('not-configured'))).toBe('not-configured')
  })
})

describe('tokenExpiry', () => {
  it.each([
    [tokenWith({ exp: 1_741_773_600 }), 1_741_773_600_000],
    [tokenWith({ exp: '1741773600' }), undefined],
    [tokenWith(null), undefined],
    ['', undefined],
    ['a.!!!.c', undefined],
  ])('%s', (given, expiry) => {
    expect(tokenExpiry(given)).toBe(expiry)
  })
})
