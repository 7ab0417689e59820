/** What the realtime domain relies on, on the stores in memory and on DynamoDB alike. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createChatStore } from '../../../shared/adapters/dynamodb/chat-store.ts'
import { createLedgerStore } from '../../../shared/adapters/dynamodb/ledger-store.ts'
import { createLinkStore } from '../../../shared/adapters/dynamodb/link-store.ts'
import { createSessionStore } from '../../../shared/adapters/dynamodb/session-store.ts'
import { createTerminalLogStore } from '../../../shared/adapters/dynamodb/terminal-log-store.ts'
import { PING_SHARDS } from '../../../shared/contracts/tables.ts'
import { chatEntry } from '../../../shared/domain/chat/message.ts'
import type { ChatHistory, ChatWriter } from '../../../shared/domain/chat/ports.ts'
import type { LedgerReader, LedgerWriter, Outbox } from '../../../shared/domain/ledger/ports.ts'
import { linkOr } from '../../../shared/domain/realtime/link-state.ts'
import { LINKED_CONTAINERS, type LinkStore, type SessionStore } from '../../../shared/domain/realtime/ports.ts'
import { ended, newSession, type Session } from '../../../shared/domain/realtime/session.ts'
import type { TerminalLogStore } from '../../../shared/domain/terminal/ports.ts'
import { startTables } from '../../support/local-tables.ts'
import { memoryLedger, memoryLinks, memorySessions, memoryTerminalLog } from '../../unit/realtime/support/memory.ts'

let tables: Awaited<ReturnType<typeof startTables>>
beforeAll(async () => {
  tables = await startTables()
})
afterAll(() => tables.close())

interface Stores {
  sessions: SessionStore
  links: LinkStore
  log: TerminalLogStore
  ledger: LedgerReader & LedgerWriter & Outbox
  chat: ChatHistory & ChatWriter
}
const adapters: [string, () => Stores][] = [
  [
    'memory',
    () => {
      const { store: ledger, chat } = memoryLedger()
      return {
        sessions: memorySessions().store,
        links: memoryLinks().store,
        log: memoryTerminalLog().store,
        ledger,
        chat,
      }
    },
  ],
  [
    'DynamoDB',
    () => ({
      sessions: createSessionStore(tables.client, 'connections'),
      links: createLinkStore(tables.client, 'connections'),
      log: createTerminalLogStore(tables.client, 'terminalLog'),
      ledger: createLedgerStore(tables.client, 'environments'),
      chat: createChatStore(tables.client, 'environments'),
    }),
  ],
]

let ids = 0
const newId = () => `id-${++ids}-${process.pid}`
const soon = () => Math.ceil(Date.now() / 1000) + 3600

describe.each(adapters)('stores on %s', (_name, open) => {
  let stores: Stores
  beforeAll(() => {
    stores = open()
  })
  const create = async (fields: Partial<Session> = {}): Promise<Session> => {
    const session = { ...newSession({ sid: newId(), tag: 'tag', now: Date.now(), transport: 'polling' }), ...fields }
    await stores.sessions.create(session)
    const stored = await stores.sessions.get(session.sid)
    if (!stored) throw new Error('not stored')
    return stored
  }

  it('keep the chat in the order of the ledger, whoever writes beside it, and give its newest part up to a sequence', async () => {
    const teamId = newId()
    const at = Date.now()
    const say = (text: string) =>
      stores.chat.append(
        chatEntry({ userId: 'ann', teamId, userName: 'Ann' }, { id: text, text, at, correlationId: 'test' }),
      )
    const other = {
      teamId,
      at: new Date(at).toISOString(),
      actor: { kind: 'platform' },
      cause: 'x',
      correlationId: 'test',
    } as const
    const written = await Promise.all([
      say('a'),
      stores.ledger.append(other),
      say('b'),
      stores.ledger.append(other),
      say('c'),
    ])
    expect(written.map(({ sequence }) => sequence).sort()).toEqual([1, 2, 3, 4, 5])
    const entries = await stores.ledger.readAfter(teamId, 0, 10)
    const said = entries.flatMap(({ sequence, event }) =>
      event?.[0] === 'chat-message' ? [{ sequence, message: event[1] }] : [],
    )
    expect(await stores.chat.upTo(teamId, 5, 10)).toEqual(said.map(({ message }) => message))
    expect(await stores.chat.upTo(teamId, 5, 2)).toEqual(said.slice(1).map(({ message }) => message))
    const second = said[1]?.sequence ?? 0
    expect(await stores.chat.upTo(teamId, second - 1, 10)).toEqual([said[0]?.message])
    expect(await stores.chat.upTo(newId(), 5, 10)).toEqual([])
    const pending = await Promise.all([0, 1, 2, 3].map((shard) => stores.ledger.pending(shard, new Date(at + 1_000))))
    expect(pending.flatMap((page) => page.entries).filter((entry) => entry.teamId === teamId)).toHaveLength(3)
  })

  it('keep a session as it was written, and take one write per revision', async () => {
    const session = await create()
    const rich: Session = {
      ...session,
      user: { userId: 'ann', teamId: 'team-1' },
      team: { start: 1, position: 2 },
      terminals: { 'agent-1': { index: 0, start: 0, position: 7, at: 1, isOwner: true } },
      replies: { last: 2, sent: 1, kept: [{ sequence: 2, event: ['error', { message: 'no' }] }] },
      lease: { id: 'l', until: 5, again: true },
      early: [{ at: 1, requestId: 'r', packet: '2[]' }],
    }
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => stores.sessions.put(rich)))
    expect(outcomes.filter(Boolean)).toHaveLength(1)
    const stored = await stores.sessions.get(session.sid)
    expect({ ...stored, writes: [] }).toEqual({ ...rich, revision: session.revision + 1, writes: [] })
    expect(await stores.sessions.put(rich)).toBe(false)
    expect(await stores.sessions.get('nobody')).toBeUndefined()
    expect(await stores.sessions.put({ ...rich, sid: 'nobody' })).toBe(false)
    await expect(stores.sessions.create({ ...rich, revision: 0 })).rejects.toThrow('in use')
  })

  it('read many sessions at once, and leave out those that are not there', async () => {
    const sessions = await Promise.all(Array.from({ length: 99 }, () => create()))
    const read = await stores.sessions.getMany([...sessions.map(({ sid }) => sid), 'nobody'])
    expect([...read.keys()].sort()).toEqual(sessions.map(({ sid }) => sid).sort())
    for (const session of sessions) expect(read.get(session.sid)).toEqual(session)
    const [first] = sessions
    if (!first) throw new Error('no session')
    expect(await stores.sessions.put({ ...first, wake: true })).toBe(true)
    expect((await stores.sessions.getMany([first.sid])).get(first.sid)?.wake).toBe(true)
  })

  it('list the members of a room, page by page, and of that room only', async () => {
    const room = { kind: 'team', teamId: newId() } as const
    const terminal = { kind: 'terminal', teamId: room.teamId, agentId: 'agent-1' } as const
    for (const sid of ['a', 'b', 'c', 'd', 'e']) await stores.sessions.enter(room, sid, soon())
    await stores.sessions.enter(room, 'a', soon())
    await stores.sessions.enter(terminal, 'z', soon())
    await stores.sessions.leave(room, 'c')
    await stores.sessions.leave(room, 'never there')
    const seen: string[] = []
    let cursor: string | undefined
    do {
      const page = await stores.sessions.members(room, cursor)
      seen.push(...page.sids)
      cursor = page.cursor
    } while (cursor !== undefined)
    expect(seen.sort()).toEqual(['a', 'b', 'd', 'e'])
    expect((await stores.sessions.members(terminal)).sids).toEqual(['z'])
  })

  it('know what a connection is', async () => {
    const link = { kind: 'link', ref: { teamId: 't', id: 'agent', generation: 2 }, base: 10 } as const
    const [first, second] = [newId(), newId()]
    await stores.sessions.bind(first, { kind: 'socket', sid: 's' }, soon())
    await stores.sessions.bind(second, link, soon())
    expect(await stores.sessions.connection(first)).toEqual({ kind: 'socket', sid: 's' })
    expect(await stores.sessions.connection(second)).toEqual(link)
    for (const container of LINKED_CONTAINERS) {
      await stores.sessions.bind(second, { ...link, container, base: 7 }, soon())
      expect(await stores.sessions.connection(second)).toEqual({ ...link, container, base: 7 })
    }
    expect(await stores.sessions.connection('nothing')).toBeUndefined()
  })

  it('find open WebSockets to ping, and no others', async () => {
    const open = await create({ transport: 'websocket', connectionId: 'c-open', opened: true })
    await create({ transport: 'websocket', connectionId: 'c-unopened', opened: false })
    await create()
    const over = await create({ transport: 'websocket', connectionId: 'c-over', opened: true })
    await stores.sessions.put(ended(over, Date.now()))
    const found: string[] = []
    for (let shard = 0; shard < PING_SHARDS; shard++) {
      const { connections } = await stores.sessions.pingable(shard)
      found.push(...connections.map(({ sid, connectionId }) => `${sid} ${connectionId}`))
    }
    expect(found).toEqual([`${open.sid} c-open`])
  })

  it('create a link once and take one write per revision', async () => {
    const ref = { teamId: 't', id: newId() }
    expect(await stores.links.get(ref)).toBeUndefined()
    const link = { ...linkOr(undefined, Date.now()), held: [{ id: 'i', at: 1, data: 'x' }] }
    const outcomes = await Promise.all([stores.links.put(ref, link), stores.links.put(ref, link)])
    expect(outcomes.filter(Boolean)).toHaveLength(1)
    const stored = await stores.links.get(ref)
    expect(stored).toMatchObject({ revision: 1, held: link.held, generation: 0 })
    if (!stored) return
    const size = { cols: 100, rows: 30, at: 5 }
    expect(await stores.links.put(ref, { ...stored, size })).toBe(true)
    expect(await stores.links.put(ref, { ...stored, size })).toBe(false)
    expect(await stores.links.get(ref)).toMatchObject({ revision: 2, size })
  })

  it('keep terminal chunks once per position, in order, and trim them', async () => {
    const terminal = { teamId: 't', id: newId() }
    const chunk = (position: number) => ({ position, generation: 1, offset: position, data: 'ü'.repeat(5), at: 1_000 })
    expect(await stores.log.readNewest(terminal, 1)).toEqual([])
    for (const position of [0, 20, 10, 1_000_000]) {
      expect(await stores.log.putIfAbsent(terminal, chunk(position))).toBe(true)
    }
    expect(await stores.log.putIfAbsent(terminal, { ...chunk(10), data: 'other' })).toBe(false)
    expect(await stores.log.readFrom(terminal, 0, 10)).toEqual({
      chunks: [chunk(0), chunk(10), chunk(20), chunk(1_000_000)],
      more: false,
    })
    const page = await stores.log.readFrom(terminal, 1, 2)
    expect(page).toEqual({ chunks: [chunk(10), chunk(20)], more: true })
    expect(await stores.log.readNewest(terminal, 2)).toEqual([chunk(20), chunk(1_000_000)])
    await stores.log.keep(terminal, 1_000_000, 2_000)
    await stores.log.keep(terminal, 30, 2_000)
    expect((await stores.log.readNewest(terminal, 10)).map(({ position }) => position)).toEqual([0, 10, 20, 1_000_000])
    await stores.log.removeBelow(terminal, 20)
    expect((await stores.log.readFrom(terminal, 0, 10)).chunks).toEqual([chunk(20), chunk(1_000_000)])
  })
})

describe('a put whose answer was lost', () => {
  /** A client whose first put is carried out and then fails, as when the connection breaks before the answer; the SDK repeats. */
  const repeating = () => {
    let times = 0
    return new Proxy(tables.client, {
      get(target, key) {
        if (key !== 'send') return Reflect.get(target, key)
        return async (command: Parameters<typeof target.send>[0]) => {
          if (command.constructor.name === 'PutCommand' && times++ === 0) await target.send(command)
          return target.send(command)
        }
      },
    })
  }

  it('counts as made when its repetition meets its own first try', async () => {
    const { sid } = newSession({ sid: newId(), tag: 't', now: Date.now(), transport: 'polling' })
    const sessions = createSessionStore(tables.client, 'connections')
    await sessions.create(newSession({ sid, tag: 't', now: Date.now(), transport: 'polling' }))
    const session = await sessions.get(sid)
    if (!session) throw new Error('not stored')
    expect(await createSessionStore(repeating(), 'connections').put({ ...session, wake: true })).toBe(true)
    expect(await sessions.get(sid)).toMatchObject({ revision: session.revision + 1, wake: true })
  })
})
