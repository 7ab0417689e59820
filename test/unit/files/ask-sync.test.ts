import { describe, expect, it } from 'vitest'
import type { FilesAnswer, FilesRequest } from '../../../shared/contracts/files.ts'
import { FILES_PATIENCE_MS, LINK_CHUNK_MAX_ENCODED_BYTES, MAX_FILE_BYTES } from '../../../shared/contracts/limits.ts'
import { LinkDownSchema } from '../../../shared/contracts/link.ts'
import type { SyncEnvironment } from '../../../shared/domain/environments/schema.ts'
import { askSync } from '../../../shared/domain/files/ask-sync.ts'
import { type AnswerPart, joined, type MessagePart, partsOf } from '../../../shared/domain/files/parts.ts'
import type { FilesDeps } from '../../../shared/domain/files/ports.ts'
import { linkOr } from '../../../shared/domain/realtime/link-state.ts'
import type { TeamEnvironment } from '../../../shared/domain/teams/schema.ts'
import { syncIdOf } from '../../../shared/domain/teams/sync-record.ts'
import { toHttpError } from '../../../shared/runtime/errors-to-http.ts'
import { memoryLinks } from '../realtime/support/memory.ts'
import { VirtualTime } from '../realtime/support/virtual-time.ts'

const INCARNATION = '0198c0de-0000-7000-8000-000000000001'
const REF = { teamId: 'team-1', id: syncIdOf({ teamId: 'team-1', incarnation: INCARNATION }) }

const ASKER = { teamId: 'team-1', by: { userId: 'user-1', userName: 'Ann' }, correlationId: 'c-1' }
const READ: FilesRequest = { op: 'read', branch: 'main', path: 'src/a.ts' }
const READ_RESULT = { path: 'src/a.ts', content: 'x', isBinary: false, size: 1 }

/** A team with workspace sync that answers `answer` to what it is asked, when it is connected. */
function bench({
  status = 'running',
  isConnected = true,
  answer = (): FilesAnswer | string | undefined => ({ ok: true, result: READ_RESULT }),
  team = {},
  encoding,
}: {
  status?: SyncEnvironment['status'] | 'none'
  isConnected?: boolean
  answer?: (request: FilesRequest) => FilesAnswer | string | undefined
  team?: Partial<TeamEnvironment> | undefined
  encoding?: 'gzip'
} = {}) {
  const time = new VirtualTime()
  const links = memoryLinks()
  const state = {
    wakes: 0,
    touches: 0,
    posts: [] as string[],
    asked: [] as FilesRequest[],
    expected: new Set<string>(),
    kept: new Map<string, AnswerPart[]>(),
    logged: [] as string[],
    outcomes: [] as ('gone' | 'full' | 'unclear')[],
  }
  const connect = async (connectionId: string) => {
    const link = linkOr(await links.store.get(REF), time.now().getTime())
    await links.store.put(REF, { ...link, generation: 1, connectionId })
  }
  const received = new Map<string, MessagePart[]>()
  const hear = (text: string) => {
    const message = LinkDownSchema.parse(JSON.parse(text))
    if (message.type !== 'request') throw new Error(`sync was sent ${message.type}`)
    const parts = [...(received.get(message.id) ?? []), message]
    received.set(message.id, parts)
    const whole = joined(parts)
    if (whole === undefined) return
    const request: FilesRequest = JSON.parse(whole)
    state.asked.push(request)
    const said = answer(request)
    if (said === undefined) return
    const out = typeof said === 'string' ? said : JSON.stringify(said)
    // As they may come: in any order.
    const pieces = partsOf(message.id, out, LINK_CHUNK_MAX_ENCODED_BYTES) ?? []
    state.kept.set(message.id, pieces.map((part) => ({ ...part, ...(encoding ? { encoding } : {}) })).reverse())
  }
  const log = (message: string) => void state.logged.push(message)
  const record = { ...REF, type: 'sync', status } as SyncEnvironment
  const deps: FilesDeps = {
    clock: time,
    sleep: time.sleep,
    links: links.store,
    environments: { get: async () => (status === 'none' ? undefined : record) },
    log: { info: log, warn: log, error: log },
    newId: () => 'request-1',
    poster: {
      async post(_connectionId, text) {
        const outcome = state.outcomes.shift()
        state.posts.push(text)
        if (outcome !== 'gone' && outcome !== 'full') hear(text)
        return outcome ?? 'sent'
      },
      close: async () => undefined,
    },
    answers: {
      expect: async (_ref, id) => void state.expected.add(id),
      put: async () => 'kept',
      read: async (_ref, id) => (state.expected.has(id) ? (state.kept.get(id) ?? []) : []),
    },
    teamOf: async () =>
      team &&
      ({
        teamId: REF.teamId,
        incarnation: INCARNATION,
        status: 'active',
        lastUsedAt: time.now().toISOString(),
        ...team,
      } as TeamEnvironment),
    wake: async () => ++state.wakes,
    touch: async () => void state.touches++,
  }
  async function ask<R extends FilesRequest>(request: R) {
    if (isConnected) await connect('c-1')
    let settled: { value: unknown } | { error: unknown } | undefined
    askSync(ASKER, request, deps).then(
      (value) => {
        settled = { value }
      },
      (error: unknown) => {
        settled = { error }
      },
    )
    await time.until(() => settled !== undefined, 'an answer', 60_000)
    if (settled && 'value' in settled) return settled.value
    throw settled?.error
  }
  const refusal = async (request: FilesRequest = READ) => {
    try {
      await ask(request)
    } catch (error) {
      return toHttpError(error)
    }
    throw new Error('it was not refused')
  }
  return { time, deps, state, ask, refusal, connect, links }
}

describe('the files API', () => {
  it('asks workspace sync over its link and gives its answer', async () => {
    const { ask, state } = bench()
    expect(await ask(READ)).toEqual(READ_RESULT)
    expect(state.asked).toEqual([READ])
    expect(state).toMatchObject({ wakes: 0, touches: 0 })
  })

  it('sends and receives what is larger than a frame', async () => {
    const content = '"ü😀\\\n'.repeat(40_000)
    const { ask, state } = bench({
      answer: () => ({ ok: true, result: { message: 'ok', path: '', size: 1 } }),
    })
    const write: FilesRequest = { op: 'write', branch: 'main', path: 'a'.repeat(3000), content }
    expect(await ask(write)).toMatchObject({ size: 1 })
    expect(state.asked).toEqual([write])
    expect(state.posts.length).toBeGreaterThan(5)
    for (const post of state.posts) expect(Buffer.byteLength(post)).toBeLessThan(128 * 1024)
  })

  it('refuses an answer that is not packed as it says', async () => {
    const { refusal, state } = bench({ answer: () => '{"ok":true}', encoding: 'gzip' })
    expect(await refusal()).toMatchObject({ status: 500, code: 'WORKSPACE_FAILED' })
    expect(state.logged).toEqual(['Workspace sync gave an answer that cannot be read'])
  })

  it('wakes sync up and asks it once it is there', async () => {
    const { ask, state, deps, connect, time } = bench({ status: 'completed', isConnected: false })
    Object.assign(deps, {
      wake: async () => {
        state.wakes++
        void time.sleep(3000).then(() => connect('c-1'))
        return {}
      },
    })
    expect(await ask(READ)).toEqual(READ_RESULT)
    expect(state.wakes).toBe(1)
  })

  it.each([
    ['none', 1, /woken up/],
    ['completed', 1, /woken up/],
    ['failed', 1, /woken up/],
    ['stopping', 1, /woken up/],
    ['requested', 0, /starting/],
    ['starting', 0, /starting/],
    ['running', 0, /reconnecting/],
  ] as const)('says what is happening while sync (%s) is not there', async (status, wakes, words) => {
    const { refusal, state, time } = bench({ status, isConnected: false })
    const startedAt = time.now().getTime()
    const shown = await refusal()
    expect(shown).toMatchObject({ status: 503, message: expect.stringMatching(words) })
    expect(shown.retryAfterSeconds).toBeGreaterThan(0)
    expect(state.wakes).toBe(wakes)
    expect(time.now().getTime() - startedAt).toBe(FILES_PATIENCE_MS)
  })

  it('does not start what a member has stopped', async () => {
    const stopRequest = { userId: 'user-1', at: '2026-01-01T00:00:00.000Z' }
    for (const status of ['stopping', 'killed'] as const) {
      const { refusal, state, deps } = bench({ isConnected: false })
      Object.assign(deps, { environments: { get: async () => ({ ...REF, type: 'sync', status, stopRequest }) } })
      expect(await refusal()).toMatchObject({ status: 409, message: expect.stringContaining('stopped by a member') })
      expect(state.wakes).toBe(0)
    }
  })

  it('says so when sync does not answer', async () => {
    const { refusal, state } = bench({ answer: () => undefined })
    expect(await refusal()).toMatchObject({ status: 503, message: expect.stringContaining('did not answer') })
    expect(state.logged).toEqual(['Workspace sync did not answer'])
  })

  it.each(['gone', 'unclear'] as const)('goes over the next link when the one known is %s', async (outcome) => {
    const { ask, state, connect, time, links } = bench()
    state.outcomes.push(outcome)
    void time.sleep(1000).then(() => connect('c-2'))
    expect(await ask(READ)).toEqual(READ_RESULT)
    expect(links.links.get(`team-1/${REF.id}`)?.connectionId).toBe('c-2')
  })

  it('says that sync is busy when its link takes no more', async () => {
    const { refusal, state } = bench()
    state.outcomes.push('full', 'full', 'full', 'full')
    expect(await refusal()).toMatchObject({ status: 503, message: expect.stringContaining('busy') })
  })

  it.each([
    ['invalid-path', 400, 'BAD_REQUEST'],
    ['not-found', 404, 'NOT_FOUND'],
    ['not-a-file', 400, 'BAD_REQUEST'],
    ['too-large', 413, 'FILE_TOO_LARGE'],
    ['no-space', 507, 'NO_SPACE'],
    ['not-ready', 503, 'UNAVAILABLE'],
    ['failed', 500, 'WORKSPACE_FAILED'],
  ] as const)('passes on that it is refused as %s, in sync’s words', async (code, status, shown) => {
    const { refusal } = bench({ answer: () => ({ ok: false, code, message: 'because so' }) })
    expect(await refusal()).toMatchObject({ status, code: shown, message: 'because so' })
  })

  it.each([
    ['no JSON', '{'],
    ['not an answer', '{"ok":1}'],
    ['an answer to something else', JSON.stringify({ ok: true, result: { files: [], truncated: false } })],
  ])('does not pass on %s', async (_name, text) => {
    const { refusal, state } = bench({ answer: () => text })
    expect(await refusal()).toMatchObject({ status: 500, code: 'WORKSPACE_FAILED' })
    expect(state.logged).toEqual(['Workspace sync gave an answer that cannot be read'])
  })

  it('does not pass on more than a function may answer', async () => {
    const content = '\u0001'.repeat(MAX_FILE_BYTES - 1)
    const { refusal } = bench({ answer: () => ({ ok: true, result: { ...READ_RESULT, content } }) })
    expect(await refusal()).toMatchObject({ status: 413, code: 'FILE_TOO_LARGE' })
  })

  it('refuses a file that is too large before it asks', async () => {
    const { refusal, state } = bench()
    const write = { op: 'write', branch: 'main', path: 'a', content: 'ü'.repeat(MAX_FILE_BYTES / 2 + 1) } as const
    expect(await refusal(write)).toMatchObject({ status: 413, code: 'FILE_TOO_LARGE' })
    expect(state.posts).toEqual([])
  })

  it('is 404 before the team has a workspace, 409 while it is taken away', async () => {
    const { deps, refusal, state } = bench()
    Object.assign(deps, { teamOf: async () => undefined })
    expect(await refusal()).toMatchObject({ status: 404 })
    const removing = bench({ team: { status: 'removing' } })
    expect(await removing.refusal()).toMatchObject({ status: 409 })
    // Between the two looks.
    const gone = bench({ status: 'completed', isConnected: false })
    Object.assign(gone.deps, { wake: async () => undefined })
    expect(await gone.refusal()).toMatchObject({ status: 409 })
    expect([...state.posts, ...removing.state.posts]).toEqual([])
  })

  it('notes at most once a minute that files are in use, and answers when that fails', async () => {
    const before = new Date(new VirtualTime().now().getTime() - 60_000).toISOString()
    const { ask, state, deps } = bench({ team: { lastUsedAt: before } })
    expect(await ask(READ)).toEqual(READ_RESULT)
    expect(state.touches).toBe(1)
    Object.assign(deps, { touch: () => Promise.reject(new Error('away')) })
    expect(await ask(READ)).toEqual(READ_RESULT)
    expect(state.logged).toEqual(['Use of files not noted'])
  })
})
