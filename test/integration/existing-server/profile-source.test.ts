import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createProfileSource } from '../../../shared/adapters/existing-server/profile-source.ts'
import { Unauthorized, Unavailable } from '../../../shared/domain/errors.ts'
import { startFakeServer } from './fake-server.ts'

let server: Awaited<ReturnType<typeof startFakeServer>>
beforeAll(async () => {
  server = await startFakeServer()
})
afterAll(() => server.close())
afterEach(() => server.reset())

const actor = { userId: 'u1', teamId: 't1' }
const me = {
  user: { id: 'u1', name: 'Ada', email: 'ada@example.com', teamId: 't1', hasVMConfig: false },
  team: { id: 't1', name: 'Engines', inviteCode: 'ABC123', repositoryUrl: 'https://github.com/a/b' },
}
const fetched = (body: unknown) => {
  server.on('GET /api/auth/me', { status: 200, body })
  return createProfileSource(server.url).fetch(actor, 'token')
}

describe('createProfileSource', () => {
  it("asks with the member's token", async () => {
    expect(await fetched(me)).toEqual({
      userId: 'u1',
      teamId: 't1',
      userName: 'Ada',
      teamName: 'Engines',
      repositoryUrl: 'https://github.com/a/b',
      known: true,
    })
    expect(server.asked).toEqual([
      { method: 'GET', path: '/api/auth/me', authorization: 'Bearer token', body: undefined },
    ])
  })

  it.each([[null], [undefined], [''], ['  ']])('takes the repository %j for none', async (repositoryUrl) => {
    expect(await fetched({ ...me, team: { ...me.team, repositoryUrl } })).toMatchObject({ repositoryUrl: null })
  })

  it('cleans names and falls back to the id', async () => {
    expect(await fetched({ ...me, user: { id: 'u1', name: 'A\nB\u0000' } })).toMatchObject({ userName: 'A B' })
    expect(await fetched({ ...me, user: { id: 'u1', name: ' \t' } })).toMatchObject({ userName: 'u1' })
    const { teamName } = await fetched({ ...me, team: { ...me.team, name: 7 } })
    expect(teamName).toBeUndefined()
  })

  it.each([
    ['no team', { user: me.user, team: null }],
    ['a name that is no text', { ...me, user: { id: 'u1', name: { first: 'Ada' } } }],
    ['a name of a megabyte', { ...me, user: { id: 'u1', name: 'x'.repeat(1_000_000) } }],
    ['a list', []],
  ])('throws for %s', async (_what, body) => {
    await expect(fetched(body)).rejects.toThrow(Unavailable)
  })

  it('throws what the existing server refuses', async () => {
    server.on('GET /api/auth/me', { status: 401, body: { error: 'Access token required' } })
    const refused = createProfileSource(server.url).fetch(actor, 'token')
    await expect(refused).rejects.toThrow(new Unauthorized('Access token required'))
  })

  it('does not wait longer than 700 ms', async () => {
    const asked = Promise.withResolvers<void>()
    server.on('GET /api/auth/me', () => asked.resolve())
    const startedAt = performance.now()
    const profile = createProfileSource(server.url).fetch(actor, 'token')
    await expect(profile).rejects.toThrow('did not answer in time')
    await asked.promise
    expect(performance.now() - startedAt).toBeLessThan(2_000)
  })
})
