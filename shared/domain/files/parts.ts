/** A message over a link that is too large for one frame: its JSON text in parts, which may arrive in any order. */
import { gunzipSync } from 'node:zlib'
import type * as z from 'zod'
import { LAMBDA_MAX_RESPONSE_BYTES, MAX_MESSAGE_PARTS } from '../../contracts/limits.ts'
import type { AnswerPartSchema, MessagePartSchema } from '../../contracts/link.ts'
import { splitEncoded } from '../terminal/split.ts'

export type MessagePart = z.infer<typeof MessagePartSchema>
export type AnswerPart = z.infer<typeof AnswerPartSchema>

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

/**
 * The text of an answer; undefined while parts are missing. It comes from a container, which is hostile ground: what unpacks to more than
 * a function could pass on is not unpacked. Throws when it is not what it says to be.
 */
export function answerText(parts: readonly AnswerPart[]): string | undefined {
  const text = joined(parts)
  const encoding = parts[0]?.encoding
  if (text === undefined || parts.some((part) => part.encoding !== encoding)) return undefined
  if (encoding === undefined) return text
  return gunzipSync(Buffer.from(text, 'base64'), { maxOutputLength: LAMBDA_MAX_RESPONSE_BYTES }).toString('utf8')
}
