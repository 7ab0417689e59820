import { describe, expect, it } from 'vitest'
import { EVERYTHING } from '../../../shared/domain/realtime/batch.ts'
import { deliver } from '../../../shared/domain/realtime/deliver.ts'
import { LEASE_MS, MAX_DEFERRALS } from '../../../shared/domain/realtime/limits.ts'
import { publishEntries, sweepOutbox } from '../../../shared/domain/realtime/publishing.ts'
import type { Session } from '../../../shared/domain/realtime/session.ts'
import { appendOutput } from '../../../shared/domain/terminal/append.ts'
import { createBench, TEAM } from './support/bench.ts'

type Post = 'sent' | 'gone' | 'full' | 'unclear'

/** A joined WebSocket client whose posts are then answered as the test wants. */
async function benchWithPosts(answer: (connectionId: string, text: string) => Post | undefined) {
  const bench = createBench()
  bench.world.addAgent({ id: 'agent-1' })
  const client = await bench.joined('websocket')
  const { poster } = bench.deps
  const posts: string[] = []
  const scripted = {
    ...bench.deps,
    poster: {
      ...poster,
      post: async (connectionId: string, text: string): Promise<Post> => {
        posts.push(text)
        return answer(connectionId, text) ?? (await poster.post(connectionId, text))
      },
    },
  }
  const sessionOf = (): Session => {
    const session = [...bench.world.sessions.sessions.values()].find(({ endedAt }) => endedAt === undefined)
    if (!session) throw new Error('no live session')
    return session
  }
  return { ...bench, client, scripted, posts, sessionOf }
}

describe('a viewer whose buffer is full', () => {
  it('is put off alone and gets everything in order when it reads again', async () => {
    let isFull = true
    let slow = ''
    const bench = await benchWithPosts((connectionId) => (isFull && connectionId === slow ? 'full' : undefined))
    slow = bench.sessionOf().connectionId ?? ''
    const quick = await bench.joined('websocket')
    const entries = await bench.run(async () => [
      await bench.world.commit(TEAM, 'one'),
      await bench.world.commit(TEAM, 'two'),
    ])
    await bench.run(() => publishEntries(entries, bench.scripted))
    expect(quick.messages).toEqual(['one', 'two'])
    expect(bench.client.messages).toEqual([])
    expect(bench.world.work.at(-1)).toMatchObject({ kind: 'deliver', attempt: 1 })
    expect(bench.world.ledger.unsettled.size).toBe(0)
    isFull = false
    await bench.until(() => bench.client.messages.length === 2, 'the queued delivery')
    expect(bench.client.messages).toEqual(['one', 'two'])
    await bench.until(() => bench.sessionOf().lease === undefined, 'the lease to be given back')
    expect(bench.sessionOf()).not.toHaveProperty('blocked')
    expect(bench.client.connects).toBe(1)
  })

  it('is not tried by anybody else meanwhile', async () => {
    const bench = await benchWithPosts(() => 'full')
    const { sid } = bench.sessionOf()
    await bench.run(() => bench.world.commit(TEAM))
    expect(await bench.run(() => deliver(sid, EVERYTHING, bench.scripted))).toBe('deferred')
    const tried = bench.posts.length
    expect(await bench.run(() => deliver(sid, EVERYTHING, bench.scripted))).toBe('deferred')
    expect(bench.posts).toHaveLength(tried)
  })

  it('is cut off when it stays full, and resumes', async () => {
    let isFull = true
    const bench = await benchWithPosts(() => (isFull ? 'full' : undefined))
    const { sid } = bench.sessionOf()
    await bench.run(() => bench.world.commit(TEAM, 'at last'))
    for (let i = 0; i < MAX_DEFERRALS; i++) {
      expect(await bench.run(() => deliver(sid, EVERYTHING, bench.scripted, { retry: true }))).toBe('deferred')
      // The queue's own delivery is not scripted: it is dropped here.
      bench.world.work.length = 0
    }
    expect(await bench.run(() => deliver(sid, EVERYTHING, bench.scripted, { retry: true }))).toBe('gone')
    isFull = false
    await bench.until(() => bench.client.connects === 2 && bench.client.messages.length === 1, 'the resume')
  })
})

describe('a post without a clear outcome', () => {
  it('is never repeated: the connection is closed, and the client resumes by its offset', async () => {
    const bench = await benchWithPosts((_id, text) => (text.includes('unclear') ? 'unclear' : undefined))
    const { sid } = bench.sessionOf()
    await bench.run(() => bench.world.tell(TEAM, 'before'))
    await bench.run(() => bench.world.commit(TEAM, 'unclear'))
    expect(await bench.run(() => deliver(sid, EVERYTHING, bench.scripted))).toBe('gone')
    expect(bench.posts.filter((text) => text.includes('unclear'))).toHaveLength(1)
    await bench.until(() => bench.client.messages.length === 2, 'the resume')
    expect(bench.client.messages).toEqual(['before', 'unclear'])
  })
})

describe('a deliverer that died', () => {
  it('is found by its expired lease: the connection is closed and nothing is lost', async () => {
    const bench = await benchWithPosts(() => undefined)
    const { sid } = bench.sessionOf()
    const entry = await bench.run(() => bench.world.commit(TEAM, 'lost'))
    let hasDied = false
    const dying = {
      ...bench.scripted,
      poster: { ...bench.scripted.poster, post: () => new Promise<Post>(() => (hasDied = true)) },
    }
    void deliver(sid, EVERYTHING, dying)
    await bench.until(() => hasDied, 'the death')
    expect(await bench.run(() => deliver(sid, EVERYTHING, bench.deps))).toBe('busy')
    await bench.run(() => publishEntries([entry], bench.deps))
    expect(bench.world.ledger.unsettled.size).toBe(1)
    await bench.time.pass(LEASE_MS)
    await bench.run(() => sweepOutbox(Number.POSITIVE_INFINITY, bench.deps))
    await bench.until(() => bench.client.messages.length === 1, 'the resume')
    expect(bench.client.messages).toEqual(['lost'])
    expect(bench.world.ledger.unsettled.size).toBe(0)
  })
})

describe('a deliverer that finds another at work', () => {
  it('leaves its part to that one, which looks again before it leaves', async () => {
    let release: (() => void) | undefined
    const bench = await benchWithPosts(() => undefined)
    const { sid } = bench.sessionOf()
    await bench.run(() => bench.world.commit(TEAM, 'one'))
    const { poster } = bench.deps
    const slow = {
      ...bench.deps,
      poster: {
        ...poster,
        post: async (id: string, text: string) => {
          if (text.includes('one')) await new Promise<void>((resolve) => (release = resolve))
          return poster.post(id, text)
        },
      },
    }
    const first = deliver(sid, EVERYTHING, slow)
    await bench.until(() => release !== undefined, 'the first post')
    await bench.run(() => bench.world.commit(TEAM, 'two'))
    expect(await bench.run(() => deliver(sid, EVERYTHING, bench.deps))).toBe('busy')
    expect(await bench.run(() => deliver(sid, EVERYTHING, bench.deps))).toBe('busy')
    release?.()
    expect(await bench.run(() => first)).toBe('delivered')
    await bench.until(() => bench.client.messages.length === 2, 'both')
    expect(bench.client.messages).toEqual(['one', 'two'])
  })
})

describe('a long history', () => {
  it('goes out in frames that API Gateway takes, in order, and costs two writes a batch', async () => {
    const bench = await benchWithPosts(() => undefined)
    const pieces = Array.from({ length: 80 }, (_, i) => `${i} \u001b[31mred\u001b[0m 😀\r\n`.repeat(400))
    let offset = 0
    for (const data of pieces) {
      const output = { generation: 1, offset, data, base: 0 }
      await bench.run(() => appendOutput({ teamId: TEAM, id: 'agent-1' }, output, bench.deps))
      offset += Buffer.byteLength(data)
    }
    const text = pieces.join('')
    const revision = bench.sessionOf().revision
    bench.client.emit('terminal_connect', { agentId: 'agent-1' })
    await bench.until(() => bench.client.terminals.get('agent-1')?.length === text.length, 'the history')
    expect(bench.client.terminals.get('agent-1')).toBe(text)
    const sizes = bench.gateway.frames.map((frame) => Buffer.byteLength(frame))
    expect(Math.max(...sizes)).toBeLessThanOrEqual(32 * 1024)
    expect(bench.gateway.frames.length).toBeLessThan(60)
    expect(bench.sessionOf().revision - revision).toBeLessThan(12)
  })
})

describe('publish', () => {
  it('keeps in the outbox what the bus has not taken, and never throws', async () => {
    const bench = createBench()
    const entry = await bench.run(
      () =>
        bench.deps.outbox &&
        bench.world.ledger.store.append({
          teamId: TEAM,
          at: bench.time.now().toISOString(),
          actor: { kind: 'platform' },
          cause: 'task-observed',
          correlationId: 'c-1',
          environment: {
            id: 'agent-1',
            type: 'agent',
            generation: 1,
            attempt: 1,
            revision: 2,
            from: 'starting',
            to: 'running',
          },
        }),
    )
    bench.world.fault.eventBus = new Error('the bus is down')
    await bench.run(() => publishEntries([entry], bench.deps))
    expect(bench.world.logged).toContainEqual(expect.objectContaining({ level: 'error' }))
    expect(bench.world.ledger.unsettled.size).toBe(1)
    delete bench.world.fault.eventBus
    await bench.time.pass(20_000)
    await bench.run(() => sweepOutbox(Number.POSITIVE_INFINITY, bench.deps))
    expect(bench.world.ledger.unsettled.size).toBe(0)
    expect(bench.world.facts).toEqual([
      expect.objectContaining({
        id: `${TEAM}/1`,
        type: 'environment.status-changed',
        correlationId: 'c-1',
        data: expect.objectContaining({
          environmentId: 'agent-1',
          from: 'starting',
          to: 'running',
          cause: 'task-observed',
        }),
      }),
    ])
  })
})
