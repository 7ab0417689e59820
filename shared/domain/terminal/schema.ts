/** The terminal log: what an agent's PTY wrote, over all generations of its record, as one sequence of bytes. */
import * as z from 'zod'
import type { EnvironmentRef } from '../environments/schema.ts'

/** A terminal is its record's. */
export type TerminalRef = EnvironmentRef

/**
 * One piece of output. Chunks of a terminal never overlap and, within a generation, leave no gap: `position` counts UTF-8
 * bytes over all generations, `offset` those of the generation. A chunk never splits a character and encodes to at most
 * LINK_CHUNK_MAX_ENCODED_BYTES of JSON.
 */
export const ChunkSchema = z.object({
  position: z.number().int().min(0),
  generation: z.number().int().min(1),
  offset: z.number().int().min(0),
  data: z.string().min(1),
  /** Milliseconds since the epoch at which it was received. */
  at: z.number(),
})
export type Chunk = z.infer<typeof ChunkSchema>

export const byteLength = (text: string): number => Buffer.byteLength(text, 'utf8')
export const endOf = (chunk: Chunk): number => chunk.position + byteLength(chunk.data)
