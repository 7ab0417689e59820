/** The stores in memory: strongly consistent, with a hook at every call for latency, faults and kills. */
import { TERMINAL_LOG_TTL_DAYS } from '../../../../shared/contracts/limits.ts'
import type { ChatMessage } from '../../../../shared/contracts/socket-events.ts'
import type { ChatHistory, ChatWriter } from '../../../../shared/domain/chat/ports.ts'
import type { LedgerReader, Outbox } from '../../../../shared/domain/ledger/ports.ts'
import { isTold, type LedgerEntry, type NewLedgerEntry } from '../../../../shared/domain/ledger/schema.ts'
import type { Link } from '../../../../shared/domain/realtime/link-state.ts'
import type { Connection, LinkStore, Room, SessionStore } from '../../../../shared/domain/realtime/ports.ts'
import { type Session, SessionSchema } from '../../../../shared/domain/realtime/session.ts'
import type { TerminalLogStore } from '../../../../shared/domain/terminal/ports.ts'
import { type Chunk, ChunkSchema } from '../../../../shared/domain/terminal/schema.ts'

/** Called before and after each access, as a request and its answer travel. */
export type Travel = () => Promise<void>
const atOnce: Travel = () => Promise.resolve()

const clone = <T>(value: T): T => structuredClone(value)

async function through<T>(travel: Travel, access: () => T): Promise<T> {
  await travel()
  const result = clone(access())
  await travel()
  return result
}

const roomName = (room: Room): string => (room.kind === 'team' ? room.teamId : `${room.teamId}/${room.agentId}`)

export function memorySessions(travel: Travel = atOnce, pageSize = 2) {
  const sessions = new Map<string, Session>()
  const rooms = new Map<string, Map<string, number>>()
  const connections = new Map<string, Connection>()
  const store: SessionStore = {
    create: (session) =>
      through(travel, () => {
        if (sessions.has(session.sid)) throw new Error('a new session id is in use already')
        sessions.set(session.sid, SessionSchema.parse({ ...clone(session), revision: session.revision + 1 }))
      }),
    get: (sid) => through(travel, () => sessions.get(sid)),
    getMany: (sids) =>
      through(
        travel,
        () =>
          new Map(
            sids.flatMap((sid): [string, Session][] => {
              const session = sessions.get(sid)
              return session ? [[sid, session]] : []
            }),
          ),
      ),
    put: (session) =>
      through(travel, () => {
        if (sessions.get(session.sid)?.revision !== session.revision) return false
        sessions.set(session.sid, SessionSchema.parse({ ...clone(session), revision: session.revision + 1 }))
        return true
      }),
    enter: (room, sid, expiresAt) =>
      through(travel, () => {
        const members = rooms.get(roomName(room)) ?? new Map<string, number>()
        rooms.set(roomName(room), members.set(sid, expiresAt))
      }).then(() => undefined),
    leave: (room, sid) => through(travel, () => rooms.get(roomName(room))?.delete(sid)).then(() => undefined),
    members: (room, cursor, range) =>
      through(travel, () => {
        const all = [...(rooms.get(roomName(room))?.keys() ?? [])].sort()
        const isInRange = (sid: string) => !range || (sid >= range.from && sid.slice(0, range.to.length) <= range.to)
        const rest = all.filter((sid) => isInRange(sid) && (cursor === undefined || sid > cursor))
        const sids = rest.slice(0, pageSize)
        const last = sids.at(-1)
        return { sids, ...(rest.length > pageSize && last !== undefined ? { cursor: last } : {}) }
      }),
    bind: (id, connection) => through(travel, () => connections.set(id, clone(connection))).then(() => undefined),
    connection: (id) => through(travel, () => connections.get(id)),
    pingable: (shard) =>
      through(travel, () => ({
        connections: [...sessions.values()].flatMap(({ sid, opened, endedAt, connectionId }) =>
          shard === 0 && opened && endedAt === undefined && connectionId !== undefined ? [{ sid, connectionId }] : [],
        ),
      })),
  }
  return { store, sessions, rooms, connections }
}

export function memoryLinks(travel: Travel = atOnce) {
  const links = new Map<string, Link>()
  const store: LinkStore = {
    get: ({ teamId, id }) => through(travel, () => links.get(`${teamId}/${id}`)),
    put: ({ teamId, id }, link) =>
      through(travel, () => {
        if ((links.get(`${teamId}/${id}`)?.revision ?? 0) !== link.revision) return false
        links.set(`${teamId}/${id}`, { ...clone(link), revision: link.revision + 1 })
        return true
      }),
  }
  return { store, links }
}

export function memoryTerminalLog(travel: Travel = atOnce) {
  const logs = new Map<string, Chunk[]>()
  const keptAt = new Map<Chunk, number>()
  const logOf = ({ teamId, id }: { teamId: string; id: string }): Chunk[] => {
    const log = logs.get(`${teamId}/${id}`) ?? []
    logs.set(`${teamId}/${id}`, log)
    return log
  }
  const store: TerminalLogStore = {
    putIfAbsent: (terminal, chunk) =>
      through(travel, () => {
        const log = logOf(terminal)
        if (log.some(({ position }) => position === chunk.position)) return false
        log.push(ChunkSchema.parse(chunk))
        log.sort((a, b) => a.position - b.position)
        return true
      }),
    readFrom: (terminal, position, limit) =>
      through(travel, () => {
        const from = logOf(terminal).filter((chunk) => chunk.position >= position)
        return { chunks: from.slice(0, limit), more: from.length > limit }
      }),
    readNewest: (terminal, limit) => through(travel, () => logOf(terminal).slice(-limit)),
    keep: (terminal, position, now) =>
      through(travel, () => {
        const chunk = logOf(terminal).find((each) => each.position === position)
        if (chunk) keptAt.set(chunk, now)
      }),
    removeBelow: (terminal, position) =>
      through(travel, () => {
        logs.set(
          `${terminal.teamId}/${terminal.id}`,
          logOf(terminal).filter((chunk) => chunk.position >= position),
        )
      }),
  }
  return {
    store,
    logOf,
    /** What DynamoDB does with chunks whose time is over at `now`. */
    expire: (terminal: { teamId: string; id: string }, now: number) => {
      const isAlive = (chunk: Chunk) => (keptAt.get(chunk) ?? chunk.at) + TERMINAL_LOG_TTL_DAYS * 86_400_000 > now
      logs.set(`${terminal.teamId}/${terminal.id}`, logOf(terminal).filter(isAlive))
    },
    text: (terminal: { teamId: string; id: string }) =>
      logOf(terminal)
        .map((c) => c.data)
        .join(''),
  }
}

export function memoryLedger(travel: Travel = atOnce) {
  const chats = new Map<string, { sequence: number; message: ChatMessage }[]>()
  const ledgers = new Map<string, LedgerEntry[]>()
  const unsettled = new Map<string, LedgerEntry>()
  const ledgerOf = (teamId: string): LedgerEntry[] => {
    const ledger = ledgers.get(teamId) ?? []
    ledgers.set(teamId, ledger)
    return ledger
  }
  const store: LedgerReader & Outbox & { append(entry: NewLedgerEntry): Promise<LedgerEntry> } = {
    head: (teamId) => through(travel, () => ledgerOf(teamId).length),
    readAfter: (teamId, sequence, limit) => through(travel, () => ledgerOf(teamId).slice(sequence, sequence + limit)),
    append: (entry) =>
      through(travel, () => {
        const ledger = ledgerOf(entry.teamId)
        const written = { ...entry, sequence: ledger.length + 1 }
        ledger.push(written)
        if (isTold(written)) unsettled.set(`${entry.teamId}/${written.sequence}`, written)
        return written
      }),
    settle: (entries) =>
      through(travel, () => {
        for (const { teamId, sequence } of entries) unsettled.delete(`${teamId}/${sequence}`)
      }),
    pending: (shard, before, cursor) =>
      through(travel, () => {
        const due = [...unsettled].filter(([, { at }]) => shard === 0 && at < before.toISOString())
        const rest = due.filter(([key]) => cursor === undefined || key > cursor).sort(([a], [b]) => (a < b ? -1 : 1))
        const page = rest.slice(0, 3)
        const last = page.at(-1)
        return { entries: page.map(([, entry]) => entry), ...(rest.length > 3 && last ? { cursor: last[0] } : {}) }
      }),
  }
  const chat: ChatHistory & ChatWriter = {
    upTo: (teamId, sequence, limit) =>
      through(travel, () =>
        (chats.get(teamId) ?? [])
          .filter((said) => said.sequence <= sequence)
          .slice(-limit)
          .map(({ message }) => message),
      ),
    append: (entry) =>
      through(travel, () => {
        const ledger = ledgerOf(entry.teamId)
        const written = { ...entry, sequence: ledger.length + 1 }
        ledger.push(written)
        unsettled.set(`${entry.teamId}/${written.sequence}`, written)
        const said = { sequence: written.sequence, message: entry.event[1] }
        chats.set(entry.teamId, [...(chats.get(entry.teamId) ?? []), said])
        return written
      }),
  }
  return { store, chat, ledgerOf, unsettled }
}
