/**
 * The ledger: per team, append-only, gap-free. Every change of a record is one entry, written in the transaction that makes
 * the change, so the order of entries is the order of commits. It is at once the story an operator reads, the outbox, and the
 * stream that a member's connection follows by its cursor (the sequence number of the last entry it was given).
 */
import * as z from 'zod'
import { type ServerEvent, type ServerEventName, serverEvents } from '../../contracts/socket-events.ts'

const ServerEventSchema = z.tuple([z.string(), z.unknown()]).transform(([name, payload], context): ServerEvent => {
  const schema = serverEvents[name as ServerEventName] as z.ZodType | undefined
  const parsed = schema?.safeParse(payload)
  if (parsed?.success) return [name, parsed.data] as unknown as ServerEvent
  context.addIssue({ code: 'custom', message: `not a server event: ${name}` })
  return z.NEVER
})

/** Who caused a change: a member, the platform (ECS), a container over its link, or the control plane's own timers. */
export const ActorSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('member'), userId: z.string() }),
  z.object({ kind: z.literal('platform') }),
  z.object({ kind: z.literal('container') }),
  z.object({ kind: z.literal('control-plane') }),
])
export type Actor = z.infer<typeof ActorSchema>

export const LedgerEntrySchema = z.object({
  teamId: z.string(),
  /** 1, 2, 3, … within the team, without gaps. */
  sequence: z.number().int().min(1),
  at: z.iso.datetime(),
  actor: ActorSchema,
  /** What happened, as a name of the state machine's events (`task-observed`, `stop-requested`, …). */
  cause: z.string(),
  correlationId: z.string(),
  /** The record that changed; absent for entries about the whole team. */
  environment: z
    .object({
      id: z.string(),
      type: z.enum(['agent', 'preview', 'sync']),
      /** What people call it, when it has such a name: of an agent. */
      name: z.string().optional(),
      generation: z.number().int(),
      attempt: z.number().int(),
      revision: z.number().int(),
      from: z.string().nullable(),
      to: z.string(),
    })
    .optional(),
  reason: z.string().optional(),
  /** What the team's members are told, at most one event an entry; its resume offset is the entry's sequence. */
  event: ServerEventSchema.optional(),
})
export type LedgerEntry = z.infer<typeof LedgerEntrySchema>
/** An entry before the store has given it its place. */
export type NewLedgerEntry = Omit<LedgerEntry, 'sequence'>

/** Whether anybody outside is to be told of an entry; the others are for the story only and never enter the outbox. */
export const isTold = (entry: Pick<LedgerEntry, 'event' | 'environment'>): boolean =>
  entry.event !== undefined || (entry.environment !== undefined && entry.environment.from !== entry.environment.to)
