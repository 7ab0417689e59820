/** A chat message, the entry that carries it, and how much of them one member may send. */
import type { ChatMessage } from '../../contracts/socket-events.ts'
import type { Actor } from '../actor.ts'
import { byteLength } from '../terminal/schema.ts'
import type { NewChatEntry } from './ports.ts'

/** @param at The gateway's receive time, milliseconds since the epoch. */
export function chatEntry(
  author: Actor & { readonly userName: string },
  { id, text, at, correlationId }: { id: string; text: string; at: number; correlationId: string },
): NewChatEntry {
  const { userId, teamId, userName } = author
  const createdAt = new Date(at).toISOString()
  const message: ChatMessage = {
    id,
    userId,
    teamId,
    user: { userName },
    userName,
    content: text,
    message: text,
    createdAt,
    timestamp: createdAt,
  }
  return {
    teamId,
    at: createdAt,
    actor: { kind: 'member', userId },
    cause: 'chat-message',
    correlationId,
    event: ['chat-message', message],
  }
}

/** The newest messages that fit into so many bytes of JSON. */
export function newestThatFit(messages: readonly ChatMessage[], maxBytes: number): ChatMessage[] {
  let from = messages.length
  for (let bytes = 0; from > 0; from--) {
    bytes += byteLength(JSON.stringify(messages[from - 1])) + 1
    if (bytes > maxBytes) break
  }
  return messages.slice(from)
}

/** Messages one connection may send within a window of milliseconds; more are refused, which the sender is told. */
export const CHAT_RATE = { messages: 20, windowMs: 10_000 } as const

/** How many were sent since when (milliseconds since the epoch). */
export interface ChatCount {
  readonly since: number
  readonly count: number
}

/** The count with one message more; undefined when that is too many. */
export function counted(before: ChatCount | undefined, now: number): ChatCount | undefined {
  if (!before || now - before.since >= CHAT_RATE.windowMs) return { since: now, count: 1 }
  return before.count < CHAT_RATE.messages ? { ...before, count: before.count + 1 } : undefined
}
