import type { LinkUp } from '../../../shared/contracts/link.ts'
import type { LinkClient } from './link-client.ts'

/** How a container ends; `reason` is for a person and goes to the control plane. */
export type Outcome = {
  readonly exitCode: number
  readonly signal?: string | undefined
  readonly reason?: string | undefined
}

/** Longest texts of the protocol's `exit`, `health` and `sync` messages. */
export const MAX_REASON = 500

/** Times `exit` is sent when connections break just then; a repetition tells the control plane nothing new. */
const EXIT_TRIES = 3

/** A wait that ends with the promise or after `ms`; true when the promise was in time. */
export function within(ms: number, promise: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(false), Math.max(0, ms))
    promise.then(() => resolve(true), reject).finally(() => clearTimeout(timer))
  })
}

/** Tells how the container ends and closes the link, all within `left()` milliseconds. False when it may not have arrived. */
export async function tellExit(
  link: Pick<LinkClient<'welcome'>, 'open' | 'close' | 'sendWhenUp'>,
  { exitCode, signal, reason }: Outcome,
  left: () => number,
): Promise<boolean> {
  const message: LinkUp = {
    action: 'link',
    type: 'exit',
    exitCode,
    ...(signal === undefined ? {} : { signal }),
    ...(reason === undefined ? {} : { reason: reason.slice(0, MAX_REASON) }),
  }
  for (let tries = 0; tries < EXIT_TRIES; tries++) {
    if (tries > 0) link.open()
    const sent = await within(left(), link.sendWhenUp(message))
    // Only a closing handshake shows that the message has arrived: `exit` has no answer of its own.
    if ((await link.close()) && sent) return true
    if (left() <= 0) break
  }
  return false
}
