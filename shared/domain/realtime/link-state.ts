/** The link item of a record: where its container is reached, its terminal's size, and input that waits for it. Pure. */
import * as z from 'zod'
import { CONNECTION_TTL_HOURS } from '../../contracts/limits.ts'
import { MAX_HELD_INPUT } from './limits.ts'

const HeldInputSchema = z.object({ id: z.string(), at: z.number(), data: z.string() })
/** A piece of typed input; `at` in ms since the epoch by the gateway's clock, `id` is `<request>-<number of the piece>`. */
export type Input = z.infer<typeof HeldInputSchema>

export const LinkSchema = z.object({
  revision: z.number().int().min(0),
  /** As in a session. */
  writes: z.array(z.string()).default([]),
  /** Epoch seconds. */
  expiresAt: z.number(),
  /** Of the container that is or was connected; 0 before the first. */
  generation: z.number().int().min(0),
  connectionId: z.string().optional(),
  /** The newest resize; `at` is the gateway's time of it. */
  size: z.object({ cols: z.number(), rows: z.number(), at: z.number() }).optional(),
  /** Input for a container that is starting or reconnecting, in order of `at`. */
  held: z.array(HeldInputSchema),
})
export type Link = z.infer<typeof LinkSchema>

/** The item of a record that has none yet; also renews its time. */
export const linkOr = (link: Link | undefined, now: number): Link => ({
  ...(link ?? { revision: 0, writes: [], generation: 0, held: [] }),
  expiresAt: Math.ceil(now / 1000) + CONNECTION_TTL_HOURS * 3600,
})

/** Undefined: more than is kept. */
export function holding(link: Link, inputs: readonly Input[]): Link | undefined {
  // The sort is stable: within one millisecond the pieces of a request stay together, and requests as they came.
  const held = [...link.held, ...inputs].sort((a, b) => a.at - b.at)
  const chars = held.reduce((sum, { data }) => sum + data.length, 0)
  return held.length > MAX_HELD_INPUT.count || chars > MAX_HELD_INPUT.chars ? undefined : { ...link, held }
}

/** The container of `generation` is reached over this connection from now on; what was held goes out over it. */
export const connected = (link: Link, generation: number, connectionId: string): Link => ({
  ...link,
  generation,
  connectionId,
  held: [],
})

export function disconnected(link: Link): Link {
  const { connectionId: _gone, ...rest } = link
  return rest
}
