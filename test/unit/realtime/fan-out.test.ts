/** Rooms of more sessions than one call tells: who tells whom, what is read for it, and what happens when something of it fails. */
import { expect, it, vi } from 'vitest'
import type { Work } from '../../../shared/contracts/work.ts'
import type { LedgerEntry } from '../../../shared/domain/ledger/schema.ts'
import { tellRoom, tellShare } from '../../../shared/domain/realtime/fan-out.ts'
import { ENTRIES_BEFORE, FAN_OUT, LEASE_MS, LOOK_AGAIN_SECONDS, SHARE } from '../../../shared/domain/realtime/limits.ts'
import { createGate } from '../../../shared/domain/realtime/parallel.ts'
import { publishEntries } from '../../../shared/domain/realtime/publishing.ts'
import { ended, newSession, type Session } from '../../../shared/domain/realtime/session.ts'
import { createBench, TEAM } from './support/bench.ts'

type Tell = Extract<Work, { kind: 'tell' }>

/** A team with `count` open WebSockets, all at the ledger's head; `posts` are the messages of the events that each got. */
async function team(count: number) {
  const bench = createBench()
  const posts = new Map<string, string[]>()
  const closed: string[] = []
  const queued: { work: Work; delaySeconds: number }[] = []
  const fault: { queue?: Error; post?: (connectionId: string) => Promise<void> } = {}
  const take = async (work: readonly Work[], delaySeconds = 0) => {
    if (fault.queue) throw fault.queue
    queued.push(...work.map((each) => ({ work: each, delaySeconds })))
  }
  const deps = {
    ...bench.deps,
    work: { send: (work: Work, delaySeconds?: number) => take([work], delaySeconds), sendAll: take },
    poster: {
      post: async (connectionId: string, packet: string) => {
        await fault.post?.(connectionId)
        const [, { message }] = JSON.parse(packet.slice(2)) as [string, { message: string }]
        posts.set(connectionId, [...(posts.get(connectionId) ?? []), message])
        return 'sent' as const
      },
      close: async (connectionId: string) => void closed.push(connectionId),
    },
  }
  const sids = Array.from({ length: count }, (_, n) => nth(n))
  await bench.run(async () => {
    for (const sid of sids) {
      const given = { sid, tag: 'tag', now: bench.time.now().getTime(), connectionId: `of-${sid}` }
      const session = { ...newSession({ ...given, transport: 'websocket' }), opened: true }
      await deps.sessions.create({
        ...session,
        user: { userId: 'user-1', teamId: TEAM },
        team: { start: 0, position: 0 },
      })
      await deps.sessions.enter({ kind: 'team', teamId: TEAM }, sid, 2 ** 31)
    }
  })
  // One page holds them all, as it does in DynamoDB.
  vi.spyOn(deps.sessions, 'members').mockImplementation(async (_room, _cursor, range) => ({
    sids: sids.filter((sid) => !range || (sid >= range.from && sid < `${range.to}~`)),
  }))
  const told = () => sids.filter((sid) => posts.has(`of-${sid}`))
  const commit = (message: string) => bench.run(() => bench.world.commit(TEAM, message))
  const publish = async (message: string) => {
    const entry = await commit(message)
    await bench.run(() => publishEntries([entry], deps))
  }
  /** Does what is queued, as messages that arrive side by side, and answers what became of each. */
  const work = () => {
    const shares = queued.splice(0).map(({ work: each }) => each as Tell)
    return bench.run(() => Promise.allSettled(shares.map((share) => tellShare(share, deps))))
  }
  const change = (sid: string, how: (session: Session) => Session) =>
    bench.run(async () => {
      const session = await deps.sessions.get(sid)
      if (!session) throw new Error(`no session ${sid}`)
      expect(await deps.sessions.put(how(session))).toBe(true)
    })
  return { ...bench, deps, sids, posts, closed, queued, fault, told, commit, publish, work, change }
}

const nth = (n: number): string => `${String(n).padStart(4, '0')}--and-eighteen-more`
const of = (n: number): string => `of-${nth(n)}`
/** All sessions from one to another. */
const share = (first: number, last: number): Tell => ({
  kind: 'tell',
  news: { kind: 'team', teamId: TEAM, after: 0 },
  sessions: { from: nth(first).slice(0, 6), to: nth(last).slice(0, 6) },
  again: false,
})

/** A lease that somebody holds from now on. */
const leased = (bench: { time: { now(): Date } }) => (session: Session) => ({
  ...session,
  lease: { id: 'other', until: bench.time.now().getTime() + LEASE_MS, again: false },
})

it('a large room is told by its publisher and the queue, everybody once, and nothing is left to the sweep', async () => {
  const bench = await team(3 * SHARE + 7)
  await bench.publish('one')
  expect(bench.told()).toHaveLength(SHARE)
  expect(bench.queued.length).toBeGreaterThanOrEqual(3)
  expect(bench.queued.length).toBeLessThanOrEqual(4)
  expect(bench.world.ledger.unsettled.size).toBe(0)
  await bench.work()
  expect(bench.sids.map((sid) => bench.posts.get(`of-${sid}`))).toEqual(bench.sids.map(() => ['one']))
  expect(bench.queued).toEqual([])
})

it('a room that one call can tell costs one query of the ledger and no read of a session alone', async () => {
  const bench = await team(SHARE)
  const [get, readAfter] = [vi.spyOn(bench.deps.sessions, 'get'), vi.spyOn(bench.deps.ledger, 'readAfter')]
  await bench.publish('one')
  expect(bench.told()).toHaveLength(SHARE)
  expect(bench.queued).toEqual([])
  expect(readAfter).toHaveBeenCalledOnce()
  expect(get).not.toHaveBeenCalled()
})

it('who stands before a few silent entries needs no read of its own either', async () => {
  const bench = await team(3)
  for (let n = 0; n < ENTRIES_BEFORE; n++) {
    await bench.run(() =>
      bench.world.ledger.store.append({
        teamId: TEAM,
        at: bench.time.now().toISOString(),
        actor: { kind: 'platform' },
        cause: 'silent',
        correlationId: 'test',
      }),
    )
  }
  const readAfter = vi.spyOn(bench.deps.ledger, 'readAfter')
  await bench.publish('one')
  expect(bench.told()).toEqual(bench.sids)
  expect(readAfter).toHaveBeenCalledOnce()
})

it('who is behind gets what it has missed, who is ahead gets nothing twice', async () => {
  const bench = await team(3)
  const all = Array.from({ length: ENTRIES_BEFORE + 3 }, (_, n) => `entry ${n + 1}`)
  let last: LedgerEntry | undefined
  for (const message of all) last = await bench.commit(message)
  if (!last) throw new Error('no entry')
  const standAt = (sid: string, position: number) =>
    bench.change(sid, (session) => ({ ...session, team: { start: 0, position } }))
  await standAt(nth(1), all.length - 2)
  await standAt(nth(2), all.length)
  await bench.run(() => publishEntries(last ? [last] : [], bench.deps))
  expect([0, 1, 2].map((n) => bench.posts.get(of(n)))).toEqual([all, all.slice(-2), undefined])
})

it('a session that has changed since it was read is read again', async () => {
  const bench = await team(2)
  const { getMany } = bench.deps.sessions
  vi.spyOn(bench.deps.sessions, 'getMany').mockImplementation(async (sids) => {
    const known = await getMany(sids)
    const session = await bench.deps.sessions.get(nth(1))
    if (session) await bench.deps.sessions.put({ ...session, team: { start: 0, position: 1 } })
    return known
  })
  await bench.publish('one')
  expect(bench.told()).toEqual([nth(0)])
})

it('a lease that was over when it was read is read again before its connection is closed', async () => {
  const bench = await team(2)
  const { getMany } = bench.deps.sessions
  const stale = { id: 'other', until: 0, again: false }
  vi.spyOn(bench.deps.sessions, 'getMany').mockImplementation(async (sids) => {
    const known = await getMany(sids)
    return new Map([...known].map(([sid, session]) => [sid, sid === nth(1) ? { ...session, lease: stale } : session]))
  })
  await bench.publish('one')
  expect(bench.closed).toEqual([])
  expect(bench.told()).toEqual(bench.sids)
})

it('sessions that cannot be read at once are read one by one', async () => {
  const bench = await team(3)
  vi.spyOn(bench.deps.sessions, 'getMany').mockRejectedValue(new Error('throttled'))
  await bench.publish('one')
  expect(bench.told()).toEqual(bench.sids)
  expect(bench.world.logged).toContainEqual(expect.objectContaining({ level: 'warn' }))
})

it('a call that runs out of time leaves the rest to the queue, and so does a share, until all are told', async () => {
  const bench = await team(SHARE)
  bench.fault.post = () => bench.deps.sleep(1_500)
  const gate = createGate(4)
  const narrow = { ...bench.deps, gate }
  await bench.commit('one')
  expect(await bench.run(() => tellRoom({ kind: 'team', teamId: TEAM, after: 0 }, narrow))).toBe(true)
  expect(bench.told().length).toBeGreaterThan(0)
  expect(bench.told().length).toBeLessThan(SHARE)
  let messages = 0
  for (; bench.queued.length > 0; messages++) {
    const { work } = bench.queued.shift() as (typeof bench.queued)[number]
    await bench.run(() => tellShare(work as Tell, narrow))
  }
  expect(messages).toBeGreaterThan(1)
  expect(bench.sids.map((sid) => bench.posts.get(`of-${sid}`))).toEqual(bench.sids.map(() => ['one']))
})

it('when the queue takes nothing, the entry stays in the outbox, and others are left out each time', async () => {
  const bench = await team(3 * SHARE)
  bench.fault.queue = new Error('the queue is down')
  await bench.publish('one')
  expect(bench.told()).toHaveLength(SHARE)
  expect(bench.world.ledger.unsettled.size).toBe(1)
  expect(bench.world.logged).toContainEqual(expect.objectContaining({ level: 'error' }))
  const entries = [...bench.world.ledger.unsettled.values()]
  for (let round = 0; round < 100 && bench.told().length < bench.sids.length; round++) {
    await bench.run(() => publishEntries(entries, bench.deps))
  }
  expect(bench.told()).toEqual(bench.sids)
})

it('a session of a share whose deliverer has died is found by a second look', async () => {
  const bench = await team(SHARE + 2)
  await bench.commit('one')
  await bench.change(nth(1), leased(bench))
  await bench.run(() => tellShare(share(0, 1), bench.deps))
  expect(bench.told()).toEqual([nth(0)])
  expect(bench.queued).toEqual([{ work: { ...share(1, 1), again: true }, delaySeconds: LOOK_AGAIN_SECONDS }])
  await bench.time.pass(LOOK_AGAIN_SECONDS * 1000)
  await bench.work()
  expect(bench.closed).toEqual([of(1)])
  // A newcomer at work by then is not waited for: the deliverer that was met before has looked again.
  await bench.change(nth(0), leased(bench))
  await bench.run(() => tellShare({ ...share(0, 0), again: true }, bench.deps))
  expect(bench.queued).toEqual([])
})

it('a share with a session that could not be told comes again, and does nothing to the others', async () => {
  const bench = await team(3)
  await bench.commit('one')
  bench.fault.post = async (connectionId) => {
    if (connectionId === of(1)) throw new Error('the stage is gone')
  }
  await expect(bench.run(() => tellShare(share(0, 2), bench.deps))).rejects.toThrow('1 of 3 sessions')
  delete bench.fault.post
  await bench.time.pass(LEASE_MS)
  await bench.run(() => tellShare(share(0, 2), bench.deps))
  expect(bench.posts.get(of(0))).toEqual(['one'])
  expect(bench.posts.get(of(2))).toEqual(['one'])
  // Nobody knows whether the post that threw was made: its connection is closed, and its client resumes.
  expect(bench.closed).toEqual([of(1)])
})

it('a share that fails slowly leaves its rest to one message, however often it comes again', async () => {
  const bench = await team(20)
  await bench.commit('one')
  vi.spyOn(bench.deps.sessions, 'put').mockImplementation(async () => {
    await bench.deps.sleep(6_000)
    throw new Error('throttled')
  })
  const narrow = { ...bench.deps, gate: createGate(4) }
  const tell = (isRepeated: boolean) => bench.run(() => tellShare(share(0, 19), narrow, { isRepeated }))
  await expect(tell(false)).rejects.toThrow('of 20 sessions')
  expect(bench.queued).toHaveLength(1)
  await expect(tell(true)).rejects.toThrow('of 20 sessions')
  expect(bench.queued).toHaveLength(1)
})

it('a row that cannot be taken away is one session that failed, and no other is left in the middle of its delivery', async () => {
  const bench = await team(3)
  await bench.change(nth(0), (session) => ended(session, bench.time.now().getTime()))
  vi.spyOn(bench.deps.sessions, 'leave').mockRejectedValue(new Error('throttled'))
  bench.fault.post = () => bench.deps.sleep(500)
  await bench.publish('one')
  expect(bench.told()).toEqual([nth(1), nth(2)])
  expect(bench.world.ledger.unsettled.size).toBe(1)
  expect(bench.world.logged.map(({ message }) => message)).toEqual(['Delivery to a session failed'])
})

it('all calls of an execution environment share its places', async () => {
  const bench = await team(SHARE)
  await bench.commit('one')
  let [now, most] = [0, 0]
  bench.fault.post = async () => {
    most = Math.max(most, ++now)
    await bench.deps.sleep(50)
    now--
  }
  const gated = { ...bench.deps, gate: createGate(FAN_OUT) }
  const halves = [share(0, SHARE / 2 - 1), share(SHARE / 2, SHARE - 1)]
  await bench.run(() => Promise.all(halves.map((half) => tellShare(half, gated))))
  expect(bench.told()).toEqual(bench.sids)
  expect(most).toBeGreaterThan(1)
  expect(most).toBeLessThanOrEqual(FAN_OUT)
})

it('a place is given back by work that fails', async () => {
  const gate = createGate(1)
  await expect(gate(() => Promise.reject(new Error('failed')))).rejects.toThrow('failed')
  expect(await gate(() => Promise.resolve('next'))).toBe('next')
})
