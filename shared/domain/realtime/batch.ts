/** One batch: what the streams hold above a session's cursors, as packets in the order in which they are to be given. */
import { CHAT_HISTORY } from '../../contracts/limits.ts'
import { newestThatFit } from '../chat/message.ts'
import { StatusSchema } from '../environments/schema.ts'
import { isFinal } from '../environments/transitions.ts'
import type { LedgerReader } from '../ledger/ports.ts'
import type { LedgerEntry } from '../ledger/schema.ts'
import { type FinishedLine, readFinishedLines } from '../terminal/lines.ts'
import { byteLength, type Chunk, endOf } from '../terminal/schema.ts'
import { encodedLength } from '../terminal/split.ts'
import { type Cursors, cursorsOf, encodeOffset } from './cursors.ts'
import {
  BATCH_MAX_BYTES,
  HISTORY_MAX_BYTES,
  LEDGER_BATCH,
  TERMINAL_BATCH_CHUNKS,
  TERMINAL_EVENT_MAX_BYTES,
} from './limits.ts'
import { eventPacket } from './packets.ts'
import type { DeliveryDeps } from './ports.ts'
import type { Session } from './session.ts'

/** Which streams to look at; direct replies always. A narrower scope saves reads, the rest has its own deliverers. */
export interface Scope {
  readonly team: boolean
  readonly terminals: 'all' | readonly string[]
  /** What has just been stored of the one terminal that is named, in order and without a gap. */
  readonly fresh?: readonly Chunk[]
  /** All that the team's ledger held above `after` when it was read: who stands there or further on needs no read of its own. */
  readonly news?: { readonly after: number; readonly entries: readonly LedgerEntry[] }
}
export const EVERYTHING: Scope = { team: true, terminals: 'all' }
export const REPLIES_ONLY: Scope = { team: false, terminals: [] }
export const terminalScope = (agentId: string, fresh: readonly Chunk[] = []): Scope => ({
  team: false,
  terminals: [agentId],
  fresh,
})

const hasEnded = (status: string): boolean => {
  const { data } = StatusSchema.safeParse(status)
  return data !== undefined && isFinal(data)
}

/** What entries above `after` bring: themselves, and the last output of what has ended by them. */
export async function teamScope(teamId: string, after: number, ledger: LedgerReader): Promise<Scope> {
  const entries = await ledger.readAfter(teamId, after, LEDGER_BATCH)
  // There may be more of them, which the sessions have to read for themselves.
  if (entries.length === LEDGER_BATCH) return EVERYTHING
  const ended = entries.flatMap(({ environment }) => (environment && hasEnded(environment.to) ? [environment.id] : []))
  return { team: true, terminals: ended, news: { after, entries } }
}

export interface Frame {
  readonly packet: string
  /** Where the client stands once it has this packet. */
  readonly after: Cursors
}
export interface Batch {
  readonly frames: readonly Frame[]
  /** Where the client stands after the batch; beyond the last frame when entries told nothing. */
  readonly end: Cursors
  /** The streams may hold more. */
  readonly more: boolean
}

/** What a batch is read from. */
type Streams = Pick<DeliveryDeps, 'ledger' | 'terminalLog' | 'chat'>

/** A step of a stream: cursors moved on, with an event or silently. */
type Step = { readonly event?: readonly [string, unknown]; readonly packet?: string; readonly move: Partial<Cursors> }

export async function readBatch(session: Session, scope: Scope, streams: Streams): Promise<Batch> {
  const { user, team } = session
  if (!user) return assemble(session, await replySteps(session, streams), false)
  const inScope = (places: Session['terminals']) =>
    Object.entries(places).filter(([agentId]) => scope.terminals === 'all' || scope.terminals.includes(agentId))
  const terminals = inScope(session.terminals)
  const outputs = inScope(session.outputs)
  const share = BATCH_MAX_BYTES / 2 / Math.max(1, terminals.length + outputs.length)
  const [replies, entries, ...parts] = await Promise.all([
    replySteps(session, streams),
    team && scope.team ? entriesAbove(team.position, user.teamId, scope, streams) : [],
    ...terminals.map(async ([agentId, { index, position }]) => {
      const terminal = { teamId: user.teamId, id: agentId }
      // Chunks never change and positions leave no gap: who stands at their beginning has exactly these next. What has been
      // stored behind them meanwhile has a delivery of its own.
      const isNext = scope.fresh?.[0]?.position === position
      const { chunks, more } = isNext
        ? { chunks: scope.fresh ?? [], more: false }
        : await streams.terminalLog.readFrom(terminal, position, TERMINAL_BATCH_CHUNKS)
      return terminalSteps({ agentId, index, items: chunks, more }, share)
    }),
    ...outputs.map(async ([agentId, { index, position }]) => {
      const terminal = { teamId: user.teamId, id: agentId }
      const { lines, more } = await readFinishedLines(streams.terminalLog, terminal, position, share)
      return outputSteps({ agentId, index, items: lines, more }, share)
    }),
  ])
  const steps = [...replies, ...entries.map(entryStep), ...parts.flatMap((part) => part.steps)]
  return assemble(session, steps, entries.length === LEDGER_BATCH || parts.some((part) => part.more))
}

function entriesAbove(
  position: number,
  teamId: string,
  { news }: Scope,
  { ledger }: Streams,
): readonly LedgerEntry[] | Promise<LedgerEntry[]> {
  if (!news || position < news.after) return ledger.readAfter(teamId, position, LEDGER_BATCH)
  return news.entries.filter(({ sequence }) => sequence > position)
}

function assemble(session: Session, steps: readonly Step[], more: boolean): Batch {
  const frames: Frame[] = []
  let cursors = cursorsOf(session)
  let bytes = 0
  for (const { event, packet, move } of steps) {
    cursors = {
      ...cursors,
      ...move,
      terminals: { ...cursors.terminals, ...move.terminals },
      outputs: { ...cursors.outputs, ...move.outputs },
    }
    if (!event && packet === undefined) continue
    const text = packet ?? eventPacket(event as readonly [string, unknown], encodeOffset(session.tag, cursors))
    frames.push({ packet: text, after: cursors })
    bytes += byteLength(text)
    if (bytes > BATCH_MAX_BYTES) return { frames, end: cursors, more: true }
  }
  return { frames, end: cursors, more }
}

/**
 * Replies stand before the entries of a batch. The chat's history is filled in here, up to the very cursor above which the
 * entries begin: whatever is put back or resumed, no message is both in the history and behind it, and none in neither.
 */
async function replySteps({ replies, user, team, transport }: Session, { chat }: Streams): Promise<Step[]> {
  const unread = replies.kept.filter(({ sequence }) => sequence > replies.sent)
  const isJoining = unread.some((reply) => 'event' in reply && reply.event[0] === 'team-joined')
  const newest = isJoining && user && team ? await chat.upTo(user.teamId, team.position, CHAT_HISTORY) : []
  const messages = newestThatFit(newest, HISTORY_MAX_BYTES[transport])
  return unread.map((reply): Step => {
    const move = { reply: reply.sequence }
    if ('packet' in reply) return { packet: reply.packet, move }
    const [name, payload] = reply.event
    return { event: name === 'team-joined' ? [name, { ...Object(payload), messages }] : reply.event, move }
  })
}

const entryStep = ({ sequence, event }: LedgerEntry): Step => ({
  ...(event ? { event } : {}),
  move: { team: sequence },
})

/** What an agent's output brings: as few events as fit, `share` bytes in all or a little more. */
type Output<T> = {
  readonly agentId: string
  readonly index: number
  readonly items: readonly T[]
  readonly more: boolean
}
type Steps = { steps: Step[]; more: boolean }

function terminalSteps({ agentId, index, items, more }: Output<Chunk>, share: number): Steps {
  const { groups, rest } = grouped(items, (chunk) => encodedLength(chunk.data), share)
  const steps = groups.map((group): Step => {
    const position = endOf(group.at(-1) as Chunk)
    const data = group.map((chunk) => chunk.data).join('')
    return { event: ['terminal_data', { agentId, data }], move: { terminals: { [agentId]: { index, position } } } }
  })
  return { steps, more: more || rest > 0 }
}

function outputSteps({ agentId, index, items, more }: Output<FinishedLine>, share: number): Steps {
  const { groups, rest } = grouped(items, (line) => byteLength(JSON.stringify(line)), share)
  const steps = groups.map((group): Step => {
    const position = (group.at(-1) as FinishedLine).end
    const lines = group.map(({ timestamp, line }) => ({ timestamp, line }))
    return { event: ['agent-output', { agentId, lines }], move: { outputs: { [agentId]: { index, position } } } }
  })
  return { steps, more: more || rest > 0 }
}

/** Neighbours joined up to the size of one event, until `share` bytes are reached; `rest` were left out. */
function grouped<T>(items: readonly T[], bytesOf: (item: T) => number, share: number): { groups: T[][]; rest: number } {
  const groups: T[][] = []
  let size = Number.POSITIVE_INFINITY
  let total = 0
  let taken = 0
  for (const item of items) {
    const bytes = bytesOf(item)
    const startsEvent = size + bytes > TERMINAL_EVENT_MAX_BYTES
    if (startsEvent && total > share) break
    if (startsEvent) groups.push([])
    groups.at(-1)?.push(item)
    size = startsEvent ? bytes : size + bytes
    total += bytes
    taken++
  }
  return { groups, rest: items.length - taken }
}
