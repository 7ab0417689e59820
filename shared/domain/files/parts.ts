/** A message over a link that is too large for one frame: its JSON text in parts, which may arrive in any order. */
import type * as z from 'zod'
import { MAX_MESSAGE_PARTS } from '../../contracts/limits.ts'
import type { MessagePartSchema } from '../../contracts/link.ts'
import { splitEncoded } from '../terminal/split.ts'

export type MessagePart = z.infer<typeof MessagePartSchema>

/** Undefined: it would take more than `MAX_MESSAGE_PARTS`. @param maxEncoded Bytes of JSON that one part's data may take. */
export function partsOf(id: string, text: string, maxEncoded: number): MessagePart[] | undefined {
  const pieces = splitEncoded(text, maxEncoded)
  if (pieces.length > MAX_MESSAGE_PARTS) return undefined
  return pieces.map((data, part) => ({ id, part, parts: pieces.length, data }))
}

/** The text again; undefined while parts are missing, or when they are not of one message. */
export function joined(parts: readonly MessagePart[]): string | undefined {
  const count = parts[0]?.parts
  const byNumber = new Map(parts.map((part) => [part.part, part]))
  if (count === undefined || byNumber.size !== count) return undefined
  const pieces: string[] = []
  for (let number = 0; number < count; number++) {
    const piece = byNumber.get(number)
    if (piece?.parts !== count) return undefined
    pieces.push(piece.data)
  }
  return pieces.join('')
}
