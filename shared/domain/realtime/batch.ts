/** One batch: what the streams hold above a session's cursors, as packets in the order in which they are to be given. */
import type { LedgerEntry } from '../ledger/schema.ts'
import { byteLength, type Chunk, endOf } from '../terminal/schema.ts'
import { encodedLength } from '../terminal/split.ts'
import { type Cursors, cursorsOf, encodeOffset } from './cursors.ts'
import { BATCH_MAX_BYTES, LEDGER_BATCH, TERMINAL_BATCH_CHUNKS, TERMINAL_EVENT_MAX_BYTES } from './limits.ts'
import { eventPacket } from './packets.ts'
import type { DeliveryDeps } from './ports.ts'
import type { Session } from './session.ts'

/** Which streams to look at; direct replies always. A narrower scope saves reads, the rest has its own deliverers. */
export interface Scope {
  readonly team: boolean
  readonly terminals: 'all' | readonly string[]
}
export const EVERYTHING: Scope = { team: true, terminals: 'all' }
export const REPLIES_ONLY: Scope = { team: false, terminals: [] }
export const terminalScope = (agentId: string): Scope => ({ team: false, terminals: [agentId] })

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

/** A step of a stream: cursors moved on, with an event or silently. */
type Step = { readonly event?: readonly [string, unknown]; readonly packet?: string; readonly move: Partial<Cursors> }

export async function readBatch(
  session: Session,
  scope: Scope,
  { ledger, terminalLog }: Pick<DeliveryDeps, 'ledger' | 'terminalLog'>,
): Promise<Batch> {
  const { user, team } = session
  const watched = Object.entries(session.terminals).filter(
    ([agentId]) => scope.terminals === 'all' || scope.terminals.includes(agentId),
  )
  const [entries, outputs] = await Promise.all([
    user && team && scope.team ? ledger.readAfter(user.teamId, team.position, LEDGER_BATCH) : [],
    Promise.all(
      watched.map(async ([agentId, { index, position }]) => {
        const page = user
          ? await terminalLog.readFrom({ teamId: user.teamId, id: agentId }, position, TERMINAL_BATCH_CHUNKS)
          : { chunks: [], more: false }
        return { agentId, index, ...page }
      }),
    ),
  ])
  const share = BATCH_MAX_BYTES / 2 / Math.max(1, outputs.length)
  const parts = outputs.map((output) => terminalSteps(output, share))
  const steps = [...replySteps(session), ...entries.map(entryStep), ...parts.flatMap((part) => part.steps)]
  return assemble(session, steps, entries.length === LEDGER_BATCH || parts.some((part) => part.more))
}

function assemble(session: Session, steps: readonly Step[], more: boolean): Batch {
  const frames: Frame[] = []
  let cursors = cursorsOf(session)
  let bytes = 0
  for (const { event, packet, move } of steps) {
    cursors = { ...cursors, ...move, terminals: { ...cursors.terminals, ...move.terminals } }
    if (!event && packet === undefined) continue
    const text = packet ?? eventPacket(event as readonly [string, unknown], encodeOffset(session.tag, cursors))
    frames.push({ packet: text, after: cursors })
    bytes += byteLength(text)
    if (bytes > BATCH_MAX_BYTES) return { frames, end: cursors, more: true }
  }
  return { frames, end: cursors, more }
}

const replySteps = ({ replies }: Session): Step[] =>
  replies.kept
    .filter(({ sequence }) => sequence > replies.sent)
    .map((reply) =>
      'packet' in reply
        ? { packet: reply.packet, move: { reply: reply.sequence } }
        : { event: reply.event, move: { reply: reply.sequence } },
    )

const entryStep = ({ sequence, event }: LedgerEntry): Step => ({
  ...(event ? { event } : {}),
  move: { team: sequence },
})

/** As few events as fit: neighbouring chunks are joined up to the size of one event, `share` bytes in all or a little more. */
function terminalSteps(
  { agentId, index, chunks, more }: { agentId: string; index: number; chunks: readonly Chunk[]; more: boolean },
  share: number,
): { steps: Step[]; more: boolean } {
  const groups: Chunk[][] = []
  let size = Number.POSITIVE_INFINITY
  let total = 0
  let taken = 0
  for (const chunk of chunks) {
    const length = encodedLength(chunk.data)
    const startsEvent = size + length > TERMINAL_EVENT_MAX_BYTES
    if (startsEvent && total > share) break
    if (startsEvent) groups.push([])
    groups.at(-1)?.push(chunk)
    size = startsEvent ? length : size + length
    total += length
    taken++
  }
  const steps = groups.map((group): Step => {
    const position = endOf(group.at(-1) as Chunk)
    const data = group.map((chunk) => chunk.data).join('')
    return { event: ['terminal_data', { agentId, data }], move: { terminals: { [agentId]: { index, position } } } }
  })
  return { steps, more: more || taken < chunks.length }
}
